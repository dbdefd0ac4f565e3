"""The gliner engine: GLiNER models, which mark spans of any label by themselves. Needs the extra ``gliner``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labelloop.engines import engine, weights
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET, LONGEST_WINDOW, OVERLAP, batches, window_starts
from labelloop.engines.offsets import as_given, owners, whole
from labelloop.errors import ModelError
from labelloop.settings import Settings

LEAST = 0.3
"""Spans that are less likely are not told. GLiNER's own default is 0.5; a caller may ask for more than it shows."""

Found = tuple[int, int, int, float]  # start, end, index of the label, probability


class Gliner:
    """A warm GLiNER model (Zaratiana et al. 2024), which reads the labels in front of the text.

    GLiNER drops what lies behind its longest input, so a text is cut into windows of words that overlap by an eighth; a
    span counts where its first word is nearer to the middle of its window than to that of any other. Labels that would
    fill more than half of the input are asked in groups. Spans of one text do not overlap: the likelier one stays.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tokenizer: Any = model.data_processor.transformer_tokenizer
        body = model.config.encoder_config
        # DeBERTa, which most GLiNER models are made of, has relative positions and reads further than it has numbers.
        positions = body.max_position_embeddings - 2 if getattr(body, "position_biased_input", True) else LONGEST_WINDOW
        self._room = min(LONGEST_WINDOW, self._tokenizer.model_max_length, positions)
        self._longest = int(model.config.max_len)
        self._budget = CPU_BUDGET if str(model.device) == "cpu" else GPU_BUDGET

    def spans(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[Found]]:
        """Per text (start, end, index into ``labels``, probability) of passages that do not overlap, in their order.

        Offsets are characters of the text as it was given, end exclusive. Equal labels count as the first of them.

        Raises:
            ModelError: a label alone fills the model's input.
        """
        index = {label: labels.index(label) for label in labels}
        read = [whole(text) for text in texts]
        found: list[list[Found]] = [[] for _ in texts]
        for group, room in self._groups(list(index)):
            windows = [window for owner, text in enumerate(read) for window in self._cut(owner, text, room)]
            used = self._room - room
            for batch in batches([window.tokens + used for window in windows], self._budget):
                asked = [read[windows[one].owner][windows[one].start : windows[one].end] for one in batch]
                replies = self._model.inference(
                    asked, group, flat_ner=True, threshold=LEAST, multi_label=False, batch_size=len(asked)
                )
                for one, reply in zip(batch, replies, strict=True):
                    window = windows[one]
                    for span in reply:
                        start, end = window.start + span["start"], window.start + span["end"]
                        if window.first <= start < window.behind:
                            found[window.owner].append((start, end, index[span["label"]], float(span["score"])))
        return [_placed(text, _apart(spans)) for text, spans in zip(texts, found, strict=True)]

    def _groups(self, labels: Sequence[str]) -> Iterator[tuple[list[str], int]]:
        """Labels that are asked together, and the tokens that they leave to the text."""
        prompt = (
            self._sizes([[word for label in labels for word in (self._model.config.ent_token, label)]])
            if labels
            else [[]]
        )
        costs = [max(2, first) + second for first, second in zip(prompt[0][::2], prompt[0][1::2], strict=True)]
        group: list[str] = []
        used = frame = 8  # the separator and special tokens
        for label, cost in zip(labels, costs, strict=True):
            if frame + cost > self._room // 2:
                raise ModelError(
                    f"The label {label[:40]!r}... has {cost} tokens, but the model reads {self._room} at once.",
                    "Give it a shorter name.",
                )
            if group and used + cost > self._room // 2:
                yield group, self._room - used
                group, used = [], frame
            group.append(label)
            used += cost
        if group:
            yield group, self._room - used

    def _sizes(self, texts: Sequence[Sequence[str]]) -> list[list[int]]:
        """Tokens of each word."""
        encoded = self._tokenizer(list(texts), is_split_into_words=True, add_special_tokens=False, verbose=False)
        return [
            np.bincount([word for word in encoded.word_ids(row) if word is not None], minlength=len(words)).tolist()
            for row, words in enumerate(texts)
        ]

    def _cut(self, owner: int, text: str, room: int) -> list[_Window]:
        """Windows of words that hold at most ``room`` tokens and as many words as the model reads."""
        words = [(start, end) for _, start, end in self._model.data_processor.words_splitter(text)]
        if not words:
            return []
        sizes = np.array(self._sizes([[text[start:end] for start, end in words]])[0])
        before = np.concatenate([[0], np.cumsum(sizes)])
        size = min(self._longest, len(words))
        while size > 1 and (before[size:] - before[:-size]).max() > room:
            size = max(1, size * 7 // 8)
        starts = window_starts(len(words), size, size // OVERLAP)
        mine = owners(starts, size, len(words))
        made = []
        for place, start in enumerate(starts):
            its = np.flatnonzero(mine == place)
            if len(its):
                last = min(start + size, len(words)) - 1
                behind = words[its[-1] + 1][0] if its[-1] + 1 < len(words) else len(text)
                tokens = int(before[last + 1] - before[start])
                made.append(_Window(owner, words[start][0], words[last][1], words[its[0]][0], behind, tokens))
        return made


class _Window(NamedTuple):
    """A part of a text, in characters. ``first``, ``behind``: where the spans begin that count from this window."""

    owner: int
    start: int
    end: int
    first: int
    behind: int
    tokens: int


def _apart(spans: Sequence[Found]) -> list[Found]:
    """Those that do not overlap a likelier one, in the order of the text."""
    kept: list[Found] = []
    for span in sorted(spans, key=lambda one: (-one[3], one[0], one[1] - one[0])):
        if all(span[1] <= other[0] or other[1] <= span[0] for other in kept):
            kept.append(span)
    return sorted(kept)


def _placed(text: str, spans: Sequence[Found]) -> list[Found]:
    places = as_given(text, np.array([span[:2] for span in spans], np.int32).reshape(-1, 2))
    return [
        (int(start), int(end), label, score) for (start, end), (_, _, label, score) in zip(places, spans, strict=True)
    ]


@engine("gliner")
def load(model: str, revision: str, settings: Settings) -> Gliner:
    """Loads a GLiNER model from safetensors, without code of its own.

    Raises:
        ModelError: the package is not installed; or the model is missing, has only pickles, asks for code of its own,
            or is not the one of ``revision``.
    """
    try:
        from gliner import GLiNER
    except ImportError as error:
        raise ModelError(
            f"The engine gliner needs the package gliner, which cannot be imported: {error}",
            'Run `pip install "gliner>=0.2.29,<0.3"`, without constraints.txt: it wants transformers below 5.17. Or '
            "choose another engine for the field (LABELLOOP_FIELDS).",
        ) from error

    folder = weights.folder(model, revision, settings)
    with weights.loading("a GLiNER model", model, settings):
        if not (folder / "model.safetensors").is_file():
            raise ValueError("there is no model.safetensors in it")
        _refuse_code(folder)
        return Gliner(GLiNER.from_pretrained(str(folder), local_files_only=True, map_location=weights.device(settings)))


def _refuse_code(folder: Path) -> None:
    """GLiNER builds its body with trust_remote_code on, so a configuration that names code must not reach it."""
    from transformers import AutoConfig

    described = json.loads((folder / "gliner_config.json").read_text(encoding="utf-8"))
    for part, body in (("encoder_config", "model_name"), ("labels_encoder_config", "labels_encoder")):
        if not described.get(part) and described.get(body):
            read = AutoConfig.from_pretrained(described[body], local_files_only=True, trust_remote_code=False)
            described[part] = read.to_dict()
    if "auto_map" in json.dumps(described, default=str):
        raise ValueError("its configuration names code of its own (auto_map), which is never run")
