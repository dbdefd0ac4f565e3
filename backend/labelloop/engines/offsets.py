"""Where tokens stand in a text: offsets that stay right with prompts, white space and broken surrogates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.errors import ModelError

_SURROGATE = re.compile("[\ud800-\udfff]")
_CHARACTER = re.compile("[\ud800-\udbff][\udc00-\udfff]|.", re.DOTALL)


def whole(text: str) -> str:
    """Without halves of surrogate pairs, which JSON may bring and no tokenizer takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_given(text: str, offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Offsets into ``whole(text)`` as offsets into ``text``, where two halves of a pair are two characters."""
    if not _SURROGATE.search(text):
        return offsets
    places = [match.start() for match in _CHARACTER.finditer(text)]
    return np.array([*places, len(text)], np.int32)[offsets]


class Located(NamedTuple):
    """The tokens of a text. ``ids``: all of them, special ones included. ``kept``: indices of those that stand for
    characters of the text. ``offsets``: (n_kept, 2) these characters, end exclusive."""

    ids: list[int]
    kept: NDArray[np.int64]
    offsets: NDArray[np.int32]


def locate(tokenizer: Any, texts: Sequence[str], prompt: str = "") -> list[Located]:
    """Tokenizes ``prompt`` + each text and finds the characters of each token in the text as it was given.

    Left out are special tokens, those of the prompt, and those of white space only; white space around a token is not
    part of it, which tokenizers see differently.

    Raises:
        ModelError: the tokenizer is one of those in Python, which do not say where a token stands.
    """
    if not texts:
        return []
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"The tokenizer {type(tokenizer).__name__} does not tell where its tokens stand in a text.",
            "Choose a model whose folder has a tokenizer.json.",
        )
    encoded = tokenizer(
        [prompt + whole(text) for text in texts],
        truncation=False,
        verbose=False,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
    )
    columns = ("input_ids", "offset_mapping", "special_tokens_mask")
    return [
        _located(text, len(prompt), ids, offsets, special)
        for text, ids, offsets, special in zip(texts, *(encoded[column] for column in columns), strict=True)
    ]


def _located(
    text: str, before: int, ids: list[int], offsets: Sequence[tuple[int, int]], special: Sequence[int]
) -> Located:
    read = whole(text)
    kept, found = [], []
    for index, ((start, end), is_special) in enumerate(zip(offsets, special, strict=True)):
        start, end = max(start - before, 0), end - before
        while start < end and read[start].isspace():
            start += 1
        while start < end and read[end - 1].isspace():
            end -= 1
        if start < end and not is_special:
            kept.append(index)
            found.append((start, end))
    return Located(ids, np.array(kept, np.int64), as_given(text, np.array(found, np.int32).reshape(-1, 2)))


def owners(starts: Sequence[int], size: int, length: int) -> NDArray[np.int64]:
    """For each of ``length`` tokens the index of the window that tells most of it: the one whose middle is nearest, so
    that the token stands as far from a torn edge as it can. ``starts``: of windows of ``size`` tokens.

    >>> owners([0, 4], 6, 10).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """
    borders = [(before + after + size) / 2 for before, after in pairwise(starts)]
    return np.searchsorted(np.array(borders), np.arange(length), side="right")
