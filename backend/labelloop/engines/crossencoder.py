"""The cross-encoder engine: models that read a text and a statement about it together: NLI models and rerankers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from labelloop.engines import Vectors, engine, weights
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET
from labelloop.engines.beside import Beside, Ids, label_means
from labelloop.engines.offsets import whole
from labelloop.errors import ModelError
from labelloop.settings import Settings

WHAT = "a sequence-classification model that was trained on NLI or as a reranker"


class CrossEncoder:
    """A warm cross-encoder. Its cost is texts times verbalizations, so labels are best told in few.

    NLI models (Yin et al. 2019 use them for zero-shot classification): the text is the premise, a verbalization the
    hypothesis, and the score is the log-odds of entailment against contradiction, or against "not entailment" where the
    model knows only that. Rerankers: the verbalization is the query and comes first, the text is the document, as in
    their training; the score is the model's one logit. A label's score is the mean over its verbalizations.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._odds = odds(model.config.id2label)
        self._frame = _Frame(tokenizer)
        budget = GPU_BUDGET if model.device.type in {"cuda", "mps"} else CPU_BUDGET
        self._texts = Beside(tokenizer, model.config, self._frame.size, budget)
        self.token_counts = self._texts.token_counts
        self.windows = self._texts.windows

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> Vectors:
        """(n_texts, n_labels) log-odds of entailment, or logits of a reranker.

        Raises:
            ValueError: a label has no verbalization.
            ModelError: one is so long that no text fits beside it.
        """
        if any(not verbalizations for verbalizations in labels):
            raise ValueError("every label needs at least one verbalization")
        told = {one: index for index, one in enumerate(dict.fromkeys(one for its in labels for one in its))}
        if not texts or not told:
            return np.zeros((len(texts), len(labels)), np.float32)
        read = [whole(one) for one in told]
        hypotheses: list[Ids] = self._tokenizer(read, add_special_tokens=False, verbose=False)["input_ids"]

        def forward(pairs: list[tuple[Ids, int]]) -> Vectors:
            return self._forward([(window, hypotheses[index]) for window, index in pairs])

        columns = [[index] for index in range(len(told))]
        scores = self._texts.read(texts, [len(ids) for ids in hypotheses], columns, forward)
        return label_means(scores, [[told[one] for one in its] for its in labels])

    def _forward(self, pairs: Sequence[tuple[Ids, Ids]]) -> Vectors:
        """(n_pairs,) scores of (text, verbalization) pairs."""
        rows = [self._frame.join(*(pair if self._odds else reversed(pair))) for pair in pairs]
        features = self._tokenizer.pad({name: [row[name] for row in rows] for name in rows[0]}, return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(**{name: tensor.to(self._model.device) for name, tensor in features.items()}).logits
        numbers = logits.float().cpu().numpy()
        found: Vectors = numbers[:, self._odds[0]] - numbers[:, self._odds[1]] if self._odds else numbers[:, 0]
        return found


def odds(id2label: Mapping[int, str]) -> tuple[int, int] | None:
    """The logits whose difference is the log-odds of entailment; None for a reranker, which has only one.

    >>> odds({0: "CONTRADICTION", 1: "neutral", 2: "Entailment"}), odds({0: "entailment", 1: "not_entailment"})
    ((2, 0), (0, 1))

    Raises:
        ModelError: the labels are of no NLI model.
    """
    if len(id2label) == 1:
        return None
    names = {name.lower(): int(index) for index, name in id2label.items()}
    entails = [index for name, index in names.items() if name.startswith("entail")]
    against = [index for name, index in names.items() if name.startswith("contradict")]
    against = against or [
        index for name, index in names.items() if name.startswith(("not", "non")) and "entail" in name
    ]
    if len(entails) == 1 and len(against) == 1:
        return entails[0], against[0]
    raise ModelError(
        f"The labels of the model are {', '.join(id2label.values())}: it is neither an NLI model nor a reranker.",
        "Choose a model with the labels entailment and contradiction (or not_entailment), or with one label; or write "
        "id2label into its config.json where it has only numbers.",
    )


class _Frame:
    """The special tokens of a pair and its token types, as the tokenizer sets them, found by asking it for one."""

    def __init__(self, tokenizer: Any) -> None:
        probe = tokenizer("a", "a")
        sides = probe.sequence_ids(0)
        first, second = sides.index(0), sides.index(1)
        after_first, after_second = len(sides) - sides[::-1].index(0), len(sides) - sides[::-1].index(1)
        cuts = [slice(0, first), slice(after_first, second), slice(after_second, None)]
        self._special = [probe["input_ids"][cut] for cut in cuts]
        self._types: list[Ids] = []
        if "token_type_ids" in probe:
            types = probe["token_type_ids"]
            self._types = [types[cuts[0]], [types[first]], types[cuts[1]], [types[second]], types[cuts[2]]]
        self.size = sum(map(len, self._special))

    def join(self, first: Ids, second: Ids) -> dict[str, Ids]:
        """What the model reads of a pair."""
        before, between, after = self._special
        joined = {"input_ids": [*before, *first, *between, *second, *after]}
        if self._types:
            head, one, middle, other, tail = self._types
            joined["token_type_ids"] = [*head, *(one * len(first)), *middle, *(other * len(second)), *tail]
        return joined


@engine("crossencoder")
def load(model: str, revision: str, settings: Settings) -> CrossEncoder:
    """Loads any Hugging Face sequence-classification model that knows entailment or has one output.

    Raises:
        ModelError: it is missing, of another kind, needs code or pickles of its own, or is not the one of ``revision``.
    """
    from transformers import AutoModelForSequenceClassification

    return CrossEncoder(*weights.load_with_head(AutoModelForSequenceClassification, model, revision, settings, WHAT))
