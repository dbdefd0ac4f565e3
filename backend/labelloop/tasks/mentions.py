"""Finds mentions in text: words with their features, and linear models over an engine's vectors that mark passages.

The models are fitted on the prompt's own sentences, for the labels of one field: nothing of a project's labels is seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import ContextEngine, Tokens
from labelloop.tasks.entity_prompt import EntityConstants, Marked
from labelloop.tasks.sentences import UNSPACED
from labelloop.tasks.threads import one_thread

Array = NDArray[np.float32]
Type = frozenset[int]
"""The labels that a passage may have, by index; none: it is no mention."""
NONE: Type = frozenset()

_LETTER = rf"(?:(?![{UNSPACED}])\w)"
_WORD = re.compile(
    rf"https?://\S*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # addresses
    rf"|[{UNSPACED}]"
    rf"|(?:[^\W\d_]\.){{2,}}|(?:[^\W\d_]\.)+[^\W\d_](?!\w)"  # U.S., D.C
    rf"|{_LETTER}+(?:(?:[.,](?=\d)|[-&]|['’](?!s\b))(?={_LETTER}){_LETTER}+)*"  # Jean-Paul, O'Brien, 3.5
    r"|[^\w\s]"
)
_SENTENCE_ENDS = frozenset('.!?:"“”«»•|-')
_CONNECTORS = frozenset(
    [
        "of",
        "the",
        "and",
        "de",
        "van",
        "von",
        "la",
        "del",
        "di",
        "da",
        "el",
        "al",
        "bin",
        "&",
        "-",
        "'",
        "’",
        "s",
        ".",
        "/",
    ]
)


@dataclass
class Read:
    """A passage of text as words. ``spans``: (n_words, 2) characters. ``vectors``: (n_words, d), each of length 1."""

    text: str
    spans: NDArray[np.int32]
    vectors: Array
    words: list[str] = field(init=False)
    cased: bool = field(init=False)

    def __post_init__(self) -> None:
        self.words = [self.text[start:end] for start, end in self.spans]
        self.cased = casing_tells(self.words)


def casing_tells(words: Sequence[str]) -> bool:
    """Whether capitals mean something: there are some, and not nearly every word has one, as in headlines."""
    letters = [word for word in words if word[0].isalpha() and word[0].lower() != word[0].upper()]
    capital = sum(word[0].isupper() for word in letters)
    short = len(letters) < 4
    return bool(capital) and (short or capital <= 0.75 * len(letters)) and not all(word.isupper() for word in letters)


def words_of(text: str) -> NDArray[np.int32]:
    """(n_words, 2) characters of words, marks and, in scripts without spaces, characters."""
    return np.array([found.span() for found in _WORD.finditer(text)], np.int32).reshape(-1, 2)


def read(texts: Sequence[str], engine: ContextEngine, depth: float) -> list[Read]:
    """Each text with a vector for each word: the mean of its tokens'. A word that the model has no token for gets 0."""
    return [_words(text, tokens) for text, tokens in zip(texts, engine.tokens(texts, depth), strict=True)]


def _words(text: str, tokens: Tokens) -> Read:
    spans = words_of(text)
    vectors = np.zeros((len(spans), tokens.vectors.shape[1]), np.float32)
    if len(spans) and len(tokens.offsets):
        first = np.searchsorted(tokens.offsets[:, 1], spans[:, 0], side="right")
        last = np.maximum(np.searchsorted(tokens.offsets[:, 0], spans[:, 1], side="left"), first)
        sums = np.vstack([np.zeros((1, vectors.shape[1]), np.float32), np.cumsum(tokens.vectors, axis=0)])
        vectors[:] = _unit(sums[last] - sums[first])
    return Read(text, spans, vectors)


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-9))
    return unit


def _features(one: Read, cased: bool, constants: EntityConstants) -> Array:
    """(n_words, n_features): each word's vector beside those of its neighbours, and what its letters look like."""
    before = np.vstack([np.zeros_like(one.vectors[:1]), one.vectors[:-1]])
    after = np.vstack([one.vectors[1:], np.zeros_like(one.vectors[:1])])
    context = np.hstack([one.vectors, constants.neighbours * before, constants.neighbours * after])
    return np.hstack([4 * context, _shapes(one.words, cased)]).astype(np.float32)  # 4: vectors count as much as shapes


def _shapes(words: Sequence[str], cased: bool) -> Array:
    capital = [word[0].isupper() for word in words]
    rows = []
    for place, word in enumerate(words):
        first = place == 0 or words[place - 1] in _SENTENCE_ENDS
        before = place > 0 and capital[place - 1]
        after = place + 1 < len(words) and capital[place + 1]
        row = [word.isdigit(), any(map(str.isdigit, word)), not word[0].isalnum(), first]
        if cased:
            row += [capital[place] and not first, capital[place] and first, len(word) > 1 and word.isupper()]
            row += [word.islower(), before, after, before and after and word.lower() in _CONNECTORS]
            row += [capital[place] and before, capital[place] and after]
        rows.append(row)
    return np.array(rows, np.float32).reshape(len(words), -1)


@dataclass(frozen=True)
class Mention:
    """A passage: characters ``start`` to ``end``, its likeliest type, and the probability of each type given that it
    is a mention (``types`` in the order of ``Finder.types``); ``certainty``: that it is one, with these ends."""

    start: int
    end: int
    certainty: float
    types: Array


class Finder:
    """The models of one field: which words belong to mentions, where one begins, and of which type each is.

    Two of the first kind are fitted: one knows of capitals, the other, fitted on the sentences in lower case, serves
    texts whose casing tells nothing.
    """

    def __init__(
        self, sentences: Sequence[Marked], types: dict[str, Type], engine: ContextEngine, constants: EntityConstants
    ) -> None:
        self._constants = constants
        marked = [(one.text, [(start, end, types[kind]) for start, end, kind in one.passages]) for one in sentences]
        self.types = sorted({kind for _, passages in marked for *_, kind in passages} - {NONE}, key=sorted)
        self._words: dict[bool, Any] = {}
        self._begins: dict[bool, Any] = {}
        self._typing: Any = None
        if not self.types:
            return
        for cased in (True, False):
            texts = [text if cased else _lowered(text) for text, _ in marked]
            reads = read(texts, engine, constants.depth)
            tags = [_tags(one, passages) for one, (_, passages) in zip(reads, marked, strict=True)]
            features = np.vstack([_features(one, cased, constants) for one in reads])
            kinds = np.array([self._number(kind) for tag in tags for kind, _ in tag])
            self._words[cased] = _fit(features, kinds, constants.regularisation)
            inside = kinds >= 0
            begins = np.array([begin for tag in tags for _, begin in tag])
            self._begins[cased] = _fit(features[inside], begins[inside], constants.regularisation)
            if cased:
                continue
            places = [
                (one, start, end) for one, (_, ps) in zip(reads, marked, strict=True) for start, end, k in ps if k
            ]
            numbers = np.array([self._number(kind) for _, passages in marked for *_, kind in passages if kind])
            self._typing = _fit(self._mention_features(places, engine), numbers, constants.typing)

    def _number(self, kind: Type) -> int:
        return self.types.index(kind) if kind else -1

    def find(self, reads: Sequence[Read], engine: ContextEngine) -> list[list[Mention]]:
        """The mentions of each text, in order, none overlapping another."""
        if not self.types:
            return [[] for _ in reads]
        places: list[tuple[Read, int, int]] = []
        drafts: list[tuple[int, float, Array]] = []  # owner, certainty, log-probability of each type by its words
        for owner, one in enumerate(reads):
            if not len(one.spans):
                continue
            features = _features(one, one.cased, self._constants)
            chances = _chances(self._words[one.cased], features, [-1, *range(len(self.types))])
            begins = _chances(self._begins[one.cased], features, [False, True])[:, 1]
            for first, last in _runs(one, 1 - chances[:, 0], begins, self._constants.threshold):
                rows = chances[first : last + 1]
                certainty = float(np.exp(np.log(np.maximum(1 - rows[:, 0], 1e-6)).mean()))
                places.append((one, int(one.spans[first, 0]), int(one.spans[last, 1])))
                drafts.append((owner, certainty, np.log(np.maximum(rows[:, 1:], 1e-6)).mean(axis=0)))
        found: list[list[Mention]] = [[] for _ in reads]
        if not places:
            return found
        typed = np.log(
            np.maximum(_chances(self._typing, self._mention_features(places, engine), range(len(self.types))), 1e-6)
        )
        for (_, start, end), (owner, certainty, by_words), by_whole in zip(places, drafts, typed, strict=True):
            scores = by_words + self._constants.typing_share * by_whole
            odds = np.exp(scores - scores.max())
            found[owner].append(Mention(start, end, certainty, (odds / odds.sum()).astype(np.float32)))
        return found

    def _mention_features(self, places: Sequence[tuple[Read, int, int]], engine: ContextEngine) -> Array:
        """What each passage is in its context, beside what it is by itself."""
        texts = [one.text[start:end].lower() for one, start, end in places]
        distinct = list(dict.fromkeys(texts))
        row = {text: index for index, text in enumerate(distinct)}
        alone = engine.embed(distinct)[[row[text] for text in texts]]
        inside = []
        for one, start, end in places:
            mine = (one.spans[:, 0] < end) & (one.spans[:, 1] > start)
            inside.append(one.vectors[mine].mean(axis=0) if mine.any() else np.zeros(one.vectors.shape[1], np.float32))
        return np.hstack([4 * _unit(np.stack(inside)), 5 * alone])


def _lowered(text: str) -> str:
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text  # "İ" grows, and offsets must stay


def _tags(one: Read, passages: Sequence[tuple[int, int, Type]]) -> list[tuple[Type, bool]]:
    """Per word the type of the passage that it belongs to, and whether it is its first."""
    tags = []
    for start, end in one.spans:
        kind, begin = NONE, False
        for its_start, its_end, its_kind in passages:
            if its_start <= start and end <= its_end:
                kind, begin = its_kind, bool(start == its_start)
        tags.append((kind, begin))
    return tags


def _runs(one: Read, inside: Array, begins: Array, threshold: float) -> list[tuple[int, int]]:
    """First and last word of each mention: runs of words that are rather inside than not, parted where one begins,
    at line breaks, and at the tabs between the cells of a table."""
    runs: list[tuple[int, int]] = []
    for place in range(len(one.spans)):
        if inside[place] <= threshold:
            continue
        last = runs[-1][1] if runs else -2
        gap = one.text[one.spans[place - 1, 1] : one.spans[place, 0]] if place else ""
        glued = begins[place] < 0.5 or one.words[place - 1].lower() in _CONNECTORS or one.words[place] in _CONNECTORS
        if last == place - 1 and glued and not {"\n", "\t"} & set(gap):
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    trimmed = [_trim(one, first, last) for first, last in runs]
    return [run for run in trimmed if run is not None]


def _trim(one: Read, first: int, last: int) -> tuple[int, int] | None:
    """Without marks and connecting words at its ends, but with the dot of an abbreviation and a bracket that closes."""
    while first <= last and not one.words[first][0].isalnum() and one.words[first] not in "@#$€£¥":
        first += 1
    while first <= last and (_is_loose(one.words[last]) and not _belongs(one, first, last)):
        last -= 1
    return (first, last) if first <= last else None


def _is_loose(word: str) -> bool:
    return not word[0].isalnum() or word in _CONNECTORS


def _belongs(one: Read, first: int, last: int) -> bool:
    word, before = one.words[last], one.words[first:last]
    if word in "%€$£¥+#°":
        return bool(before)
    if word == ")":
        return "(" in before
    touching = bool(before) and one.spans[last - 1, 1] == one.spans[last, 0]
    return word == "." and touching and last + 1 < len(one.words) and len(before[-1]) <= 4 and before[-1][0].isupper()


def _fit(features: Array, targets: NDArray[Any], strength: float) -> Any:
    """A logistic regression, or the one class that there is."""
    from sklearn.linear_model import LogisticRegression

    if len(set(targets.tolist())) < 2:
        return targets[0] if len(targets) else None
    with one_thread():
        return LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(features, targets)


def _chances(model: Any, features: Array, classes: Sequence[Any] | range) -> Array:
    """(n_rows, n_classes) probabilities in the order of ``classes``; 0 for a class that no example had."""
    chances = np.zeros((len(features), len(classes)), np.float32)
    if not hasattr(model, "predict_proba"):
        chances[:, list(classes).index(model)] = 1.0
        return chances
    made = model.predict_proba(features)
    for column, one in enumerate(model.classes_.tolist()):
        chances[:, list(classes).index(one)] = made[:, column]
    return chances
