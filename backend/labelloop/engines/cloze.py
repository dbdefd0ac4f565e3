"""The cloze engine: masked language models fill a gap behind the text, and labels are the words to fill it with."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from labelloop.engines import Vectors, engine, weights
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET
from labelloop.engines.beside import Beside, Ids, label_means
from labelloop.engines.offsets import whole
from labelloop.errors import ModelError
from labelloop.settings import Settings

WHAT = "a masked language model such as BERT"
_GAP = re.compile("⟦(.*)⟧", re.DOTALL)


class Cloze:
    """A warm masked language model (Schick and Schuetze 2021 call it pattern-exploiting).

    A verbalization is a sentence with the label's words between marks, "It is about ⟦tennis⟧."; it stands behind the
    text, and the score is the log-probability of the words in their place. Without marks all of it is the words.

    Words of several tokens get as many masks and are read from left to right: each token's probability is taken where
    those before it are known and those behind it are masked (Kauf and Ivanova 2023). By the chain rule their product is
    the probability of the words; masking one at a time (Salazar et al. 2020) lets the rest of a word give it away.
    The score is the mean over the tokens, so that long words stand beside short ones. All labels of one token in one
    sentence cost one forward pass, and words that begin with the same tokens share theirs.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        head, tail = mask.index(0), mask[::-1].index(0)
        special = tokenizer("a")["input_ids"]
        self._head: Ids = special[:head]
        self._tail: Ids = special[len(special) - tail :]
        budget = GPU_BUDGET if model.device.type in {"cuda", "mps"} else CPU_BUDGET
        self._texts = Beside(tokenizer, model.config, head + tail, budget)
        self.token_counts = self._texts.token_counts
        self.windows = self._texts.windows
        self._asking = threading.Lock()
        self._places: torch.Tensor | None = None
        if model.base_model is not model:
            model.base_model.register_forward_hook(self._keep_the_gaps)

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> Vectors:
        """(n_texts, n_labels) mean log-probability of a label's words in their place.

        Raises:
            ValueError: a label has no verbalization.
            ModelError: the model has no token for its words, or they are so long that no text fits beside them.
        """
        if any(not verbalizations for verbalizations in labels):
            raise ValueError("every label needs at least one verbalization")
        told = list(dict.fromkeys(one for its in labels for one in its))
        if not texts or not told:
            return np.zeros((len(texts), len(labels)), np.float32)
        gaps, columns = _ask(self._filled(told))
        listed = list(gaps)

        def forward(pairs: list[tuple[Ids, int]]) -> list[Vectors]:
            return self._forward([(window, listed[index], list(gaps[listed[index]])) for window, index in pairs])

        wanted = [list(tokens.values()) for tokens in gaps.values()]
        scores = self._texts.read(texts, [gap.size for gap in listed], wanted, forward)
        by_words = label_means(scores, columns)
        place = {one: index for index, one in enumerate(told)}
        return label_means(by_words, [[place[one] for one in its] for its in labels])

    def _filled(self, told: Sequence[str]) -> list[tuple[Ids, Ids, Ids]]:
        """Of each verbalization the tokens before the gap, those of the words, and those behind it.

        The sentence is tokenized with the words in it, so they begin and end as they do in running text.
        """
        sentences, places = [], []
        for one in map(whole, told):
            found = _GAP.search(one)
            before, words, after = (one[: found.start()], found[1], one[found.end() :]) if found else ("", one, "")
            sentences.append(f" {before}{words}{after}")
            places.append((1 + len(before), 1 + len(before) + len(words)))
        encoded = self._tokenizer(sentences, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        filled = []
        for one, (start, end), ids, offsets in zip(
            told, places, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            its = [index for index, (left, right) in enumerate(offsets) if left < end and right > start]
            if not its:
                raise ModelError(
                    f"The model has no token for the label words in {one!r}.", "Give the label other words, or a hint."
                )
            filled.append((ids[: its[0]], ids[its[0] : its[-1] + 1], ids[its[-1] + 1 :]))
        return filled

    def _forward(self, asked: Sequence[tuple[Ids, _Gap, Sequence[int]]]) -> list[Vectors]:
        """Of each (text, gap, tokens) the log-probabilities of the tokens in the first mask of the gap."""
        rows, places = [], []
        for window, gap, _ in asked:
            before = [*self._head, *window, *gap.before, *gap.known]
            masks = [self._tokenizer.mask_token_id] * gap.masks
            rows.append([*before, *masks, *gap.after, *self._tail])
            places.append(len(before))
        features = self._tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(self._model.device)
        gaps = torch.tensor(places, device=self._model.device)
        with self._asking, torch.inference_mode():
            self._places = gaps
            try:
                logits = self._model(**features).logits
            finally:
                self._places = None
        if logits.shape[1] > 1:  # the model has no body of its own to hook on
            logits = logits[torch.arange(len(rows)), gaps][:, None]
        chances = torch.log_softmax(logits[:, 0].float(), dim=-1).cpu().numpy()
        return [row[list(tokens)] for row, (_, _, tokens) in zip(chances, asked, strict=True)]

    def _keep_the_gaps(self, _body: Any, _arguments: Any, output: Any) -> Any:
        """Lets the head see one token of each row: over a whole batch, with a vocabulary of 250,000, it would fill
        gigabytes with numbers that nobody asked for."""
        if self._places is None:
            return output
        states = output.last_hidden_state
        output.last_hidden_state = states[torch.arange(len(states), device=states.device), self._places][:, None]
        return output


class _Gap(NamedTuple):
    """A sentence with a gap: what stands before it, the tokens of it that are known already, how many are masked, and
    what stands behind it."""

    before: tuple[int, ...]
    known: tuple[int, ...]
    masks: int
    after: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.before) + len(self.known) + self.masks + len(self.after)


def _ask(filled: Sequence[tuple[Ids, Ids, Ids]]) -> tuple[dict[_Gap, dict[int, int]], list[list[int]]]:
    """What to ask of each text so that nothing is asked twice.

    Returns:
        of each gap the column of every token that is wanted there; of each filled sentence the columns of its words.
    """
    gaps: dict[_Gap, dict[int, int]] = {}
    count = 0
    columns: list[list[int]] = []
    for before, words, after in filled:
        columns.append([])
        for known, token in enumerate(words):
            gap = _Gap(tuple(before), tuple(words[:known]), len(words) - known, tuple(after))
            tokens = gaps.setdefault(gap, {})
            if token not in tokens:
                tokens[token] = count
                count += 1
            columns[-1].append(tokens[token])
    return gaps, columns


@engine("cloze")
def load(model: str, revision: str, settings: Settings) -> Cloze:
    """Loads any Hugging Face masked language model.

    Raises:
        ModelError: it is missing, of another kind, needs code or pickles of its own, or is not the one of ``revision``.
    """
    from transformers import AutoModelForMaskedLM

    loaded, tokenizer = weights.load_with_head(AutoModelForMaskedLM, model, revision, settings, WHAT)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"The tokenizer of {model} has no mask token.", f"Choose {WHAT}.")
    return Cloze(loaded, tokenizer)
