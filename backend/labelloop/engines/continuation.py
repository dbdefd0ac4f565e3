"""Labels as continuations of a text: how likely the model finds it to go on with each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from labelloop.engines import Vectors
from labelloop.engines.batching import OVERLAP, parts, window_starts
from labelloop.engines.beside import label_means
from labelloop.engines.chat import Chat
from labelloop.engines.offsets import whole
from labelloop.engines.prefix import Ids
from labelloop.engines.recent import Recent
from labelloop.engines.trees import Tree, grow
from labelloop.errors import ModelError

LONGEST = 2048  # tokens of a window: small models lose the thread of longer texts
_MARKED = re.compile("⟦(.*)⟧", re.DOTALL)
Read = Callable[[Ids, list[Ids], list[Tree]], list[list[Vectors]]]


class Filled(NamedTuple):
    """A verbalization behind a text in tokens: those that lead to the marked words, and those of the words."""

    given: Ids
    words: Ids


class Continuations:
    """Ranks for one model. A verbalization is what follows the text in a line of its own, with the label's words
    between marks: "Topic: ⟦sports⟧"; without marks all of it is the words. What stands behind the words says nothing
    about them and is left out.

    The score of a verbalization is the mean log-probability of its words' tokens, each given all before it (by the
    chain rule their sum is that of the words; the mean lets long labels stand beside short ones).
    """

    def __init__(self, tokenizer: Any, chat: Chat, room: int, nodes: int) -> None:
        """``room``: tokens of the model's context. ``nodes``: most tokens of labels that are read with a text at once;
        with more of them texts are read several times."""
        self._chat = chat
        self._nodes = nodes
        self._size = min(LONGEST, room // 2)
        self._most_beside = room - self._size
        encoded = tokenizer("a", return_special_tokens_mask=True)
        self._head: Ids = tuple(encoded["input_ids"][: encoded["special_tokens_mask"].index(0)])
        self._tokens: Recent[tuple[str, str], Ids] = Recent(512)
        self._filled: Recent[str, Filled] = Recent(4096)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(self._head) + len(self._text(text, "")) for text in texts]

    def windows(self, texts: Sequence[str]) -> list[int]:
        return [len(self._starts(self._text(text, ""))) for text in texts]

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]], lead: str, read: Read) -> Vectors:
        """(n_texts, n_labels) mean log-probabilities.

        Args:
            lead: what stands before every text. One space at its end belongs to the text's first word.
            read: from the tokens before all windows, those of each window and its tree to what ``trees.read`` returns.

        Raises:
            ValueError: a label has no verbalization.
            ModelError: the model has no token for a label's words, or lead and label leave no room for a text.
        """
        if any(not verbalizations for verbalizations in labels):
            raise ValueError("every label needs at least one verbalization")
        told = list(dict.fromkeys(one for its in labels for one in its))
        if not texts or not told:
            return np.zeros((len(texts), len(labels)), np.float32)
        gap = " " if lead.endswith(" ") else ""
        before = (*self._head, *self._chat.plain(lead.removesuffix(" ")))
        filled = self._filled.get(told, lambda new: [self._fill(one) for one in new])
        self._check(len(before), filled)
        if not before:  # the first word needs something to follow
            before = (self._chat.end,)
        owners, windows = [], []
        for owner, text in enumerate(texts):
            ids = self._text(text, gap)
            for start in self._starts(ids):
                owners.append(owner)
                windows.append((before[-1], *ids[start : start + self._size]))
        together = parts(filled, lambda one: len(one.given) + len(one.words), self._nodes)
        values = np.concatenate([self._read(before[:-1], windows, part, read) for part in together], axis=1)
        scores = _merge(values, owners, [max(1, len(window) - 1) for window in windows], len(texts))
        place = {one: index for index, one in enumerate(told)}
        return label_means(scores, [[place[one] for one in its] for its in labels])

    def spare(self, labels: Sequence[Sequence[str]]) -> int:
        """Most tokens that may stand before a text beside these labels; may be below 0. Raises as ``rank``."""
        filled = self._filled.get([one for its in labels for one in its], lambda new: [self._fill(one) for one in new])
        return self._most_beside - len(self._head) - max((len(one.given) + len(one.words) for one in filled), default=0)

    def _read(self, prefix: Ids, windows: list[Ids], filled: Sequence[Filled], read: Read) -> Vectors:
        """(n_windows, n_filled)"""
        tree = grow(filled)
        found = read(prefix, windows, [tree] * len(windows))
        return np.array([[float(its.mean(dtype=np.float64)) for its in row] for row in found], np.float32)

    def _text(self, text: str, gap: str) -> Ids:
        return self._tokens.get([(text, gap)], lambda _: [tuple(self._chat.plain(gap + text))])[0]

    def _starts(self, ids: Ids) -> list[int]:
        return window_starts(len(ids), self._size, self._size // OVERLAP)

    def _fill(self, told: str) -> Filled:
        """The sentence is tokenized with the words in it, so they begin and end as they do in running text."""
        found = _MARKED.search(told)
        before, words = (told[: found.start()], found[1]) if found else ("", told)
        start = 1 + len(whole(before))
        sentence = f"\n{whole(before)}{whole(words)}"
        ids, ends = self._chat.located(sentence)
        first = next((place for place, end in enumerate(ends) if end > start), None)
        if first is None or not words.strip():
            raise ModelError(
                f"The model has no token for the label words in {told!r}.", "Give the label other words, or a hint."
            )
        return Filled(tuple(ids[:first]), tuple(ids[first:]))

    def _check(self, before: int, filled: Sequence[Filled]) -> None:
        longest = max(len(given) + len(words) for given, words in filled)
        if before + longest > self._most_beside:
            raise ModelError(
                f"What stands before the texts has {before} tokens and a label {longest}, but beside a text the model "
                f"reads {self._most_beside}.",
                "Shorten the demonstrations, the label's hint or the field's question, or choose a model that reads "
                "more at once.",
            )


def _merge(values: Vectors, owners: Sequence[int], weights: Sequence[int], n_texts: int) -> Vectors:
    """(n_texts, n) of each text the mean over its windows, weighted by their tokens."""
    totals = np.zeros(n_texts)
    np.add.at(totals, owners, weights)
    merged = np.zeros((n_texts, values.shape[1]))
    np.add.at(merged, owners, values * (np.array(weights) / totals[owners])[:, None])
    return merged.astype(np.float32)
