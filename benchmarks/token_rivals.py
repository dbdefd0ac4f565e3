"""Entities by logistic regression on words: what memory of spans is measured beside in ``memory.py``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from labelloop.engines import ContextEngine
from labelloop.words import Span

_WORD = re.compile(r"\w+|[^\w\s]")
DEPTHS = (0.5, 1.0)


class Words(NamedTuple):
    """The words of a text: ``places`` (start, end), and by depth their (n_words, d) vectors in context."""

    text: str
    places: list[tuple[int, int]]
    vectors: dict[float, np.ndarray]


def read(texts: Sequence[str], engine: ContextEngine) -> list[Words]:
    """A word's vector is the mean of those of its tokens."""
    made = [Words(text, [match.span() for match in _WORD.finditer(text)], {}) for text in texts]
    for depth in DEPTHS:
        for one, tokens in zip(made, engine.tokens(texts, depth), strict=True):
            rows = []
            for start, end in one.places:
                mine = (tokens.offsets[:, 0] < end) & (tokens.offsets[:, 1] > start)
                rows.append(tokens.vectors[mine].mean(axis=0) if mine.any() else np.zeros(tokens.vectors.shape[1]))
            one.vectors[depth] = np.array(rows).reshape(len(rows), tokens.vectors.shape[1])
    return made


def tags(words: Words, spans: Sequence[Span]) -> list[str]:
    """B-label, I-label or O of each word (Ramshaw and Marcus 1995)."""
    found = ["O"] * len(words.places)
    for span in spans:
        its = [n for n, (start, end) in enumerate(words.places) if start < span.end and end > span.start]
        for place, number in enumerate(its):
            found[number] = f"{'I' if place else 'B'}-{span.label[0]}"
    return found


def spans(words: Words, found: Sequence[str]) -> set[tuple[int, int, str]]:
    """(start, end, label) of what is tagged; an I without its beginning begins."""
    made: list[tuple[int, int, str]] = []
    former = "O"
    for (start, end), tag in zip(words.places, found, strict=True):
        if tag != "O":
            if tag.startswith("I-") and former[2:] == tag[2:]:
                made[-1] = (made[-1][0], end, tag[2:])
            else:
                made.append((start, end, tag[2:]))
        former = tag
    return set(made)


def features(words: Words) -> list[list[str]]:
    """Of each word what a tagger of old looks at: itself, its form and ending, and those next to it."""
    own = [words.text[start:end] for start, end in words.places]
    forms = [re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"\d", "0", one))) for one in own]
    made = []
    for place, word in enumerate(own):
        its = [f"word {word.lower()}", f"form {forms[place][:6]}", f"end {word[-3:].lower()}"]
        for step in (-2, -1, 1, 2):
            if 0 <= place + step < len(own):
                its += [f"{step} {own[place + step].lower()}", f"form {step} {forms[place + step][:6]}"]
        made.append(its)
    return made


def by_words(
    known: Sequence[Words], gold: Sequence[Sequence[Span]], new: Sequence[Words], strength: float
) -> list[Any]:
    """Per new text its spans, by logistic regression on TF-IDF of ``features``."""
    table = TfidfVectorizer(analyzer=list)
    rows = table.fit_transform([its for one in known for its in features(one)])
    return _tagged(rows, known, gold, new, table.transform([its for one in new for its in features(one)]), strength)


def by_vectors(
    known: Sequence[Words], gold: Sequence[Sequence[Span]], new: Sequence[Words], strength: float, depth: float
) -> list[Any]:
    """Per new text its spans, by logistic regression on the vectors of words in context."""
    rows, others = (np.concatenate([one.vectors[depth] for one in some]) for some in (known, new))
    return _tagged(rows, known, gold, new, others, strength)


def _tagged(
    rows: Any,
    known: Sequence[Words],
    gold: Sequence[Sequence[Span]],
    new: Sequence[Words],
    others: Any,
    strength: float,
) -> list[Any]:
    right = [tag for one, its in zip(known, gold, strict=True) for tag in tags(one, its)]
    if len(set(right)) == 1:
        return [set() for _ in new]
    told = iter(LogisticRegression(C=strength, max_iter=300).fit(rows, right).predict(others))
    return [spans(one, [next(told) for _ in one.places]) for one in new]
