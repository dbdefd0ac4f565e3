"""Searching a reading for passages that may answer a question: sentences first, then candidates in the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelloop.engines import ContextEngine, Tokens
from labelloop.tasks import closeness
from labelloop.tasks.candidates import Candidate, Forms, candidates
from labelloop.tasks.closeness import Array, Match, Sentence, unit
from labelloop.tasks.extraction_prompt import Prompt, words_of
from labelloop.tasks.questions import Grammar, Question
from labelloop.tasks.sentences import Token, sentences
from labelloop.words import Passage, Reading

MOST_SENTENCES = 64  # are read by the model; of a longer text those that share most words with the question
BEST_SENTENCES = 8  # are searched for candidates
MOST_ALONE = 20  # candidates are read alone too


@dataclass(frozen=True)
class Place:
    """A sentence of a passage; ``follows``: whether the one before it in a list is the one before it in the passage."""

    passage: Passage
    tokens: Sequence[Token]
    follows: bool

    def quote(self, first: int, last: int) -> str:
        """The passage's characters of tokens [first, last]."""
        return self.passage.text[self.tokens[first].start : self.tokens[last].end]

    @property
    def text(self) -> str:
        return self.quote(0, len(self.tokens) - 1)


@dataclass(frozen=True)
class Found:
    """What a reading has for its question. ``candidates``: (index of place, candidate). ``columns``: (n_candidates,
    len(IN_TEXT) + len(ALONE)). ``strange``: whether a name or number of the question is nowhere in the reading.
    ``denied``: whether each place has a word that denies."""

    question: Question
    places: Sequence[Place]
    matched: Match
    candidates: Sequence[tuple[int, Candidate]]
    columns: Array
    strange: bool
    denied: Sequence[bool]

    @property
    def quotes(self) -> list[str]:
        return [self.places[place].quote(one.first, one.last) for place, one in self.candidates]


@dataclass(frozen=True)
class _Draft:
    """A reading before its candidates are read alone. ``sentences``: of ``found.places``, with their vectors."""

    found: Found
    sentences: Sequence[Sentence]


def search(
    readings: Sequence[Reading], asked: Sequence[str], engine: ContextEngine, prompt: Prompt
) -> list[Found | None]:
    """What may answer each question in its reading; None where the question has no word."""
    grammar, forms = words_of(prompt)
    questions = [grammar.read(text) for text in asked]
    whole = [_sentences(reading) for reading in readings]
    strange = [_strange(question, its) for question, its in zip(questions, whole, strict=True)]
    places = [_shortlist(question, its) for question, its in zip(questions, whole, strict=True)]
    texts = [place.text for of_reading in places for place in of_reading] + [question.text for question in questions]
    read = _read(texts, engine)
    drafts = [
        _draft(question, its, odd, read, prompt, grammar, forms)
        if any(token.is_word for token in question.tokens)
        else None
        for question, its, odd in zip(questions, places, strange, strict=True)
    ]
    return _read_alone(drafts, engine, prompt)


def _sentences(reading: Reading) -> list[Place]:
    return [
        Place(passage, tokens, index > 0)
        for passage in reading.passages
        for index, tokens in enumerate(sentences(passage.text))
    ]


def _strange(question: Question, places: Sequence[Place]) -> bool:
    return bool(question.strong - {token.stem for place in places for token in place.tokens})


def _shortlist(question: Question, places: list[Place]) -> list[Place]:
    """The sentences that are worth reading, in their order."""
    if len(places) <= MOST_SENTENCES:
        return places
    weights = closeness.weigh(question, [place.tokens for place in places])
    shared = [sum(weights.get(stem, 0.0) for stem in {token.stem for token in place.tokens}) for place in places]
    kept = {int(index) for index in np.argsort(-np.array(shared), kind="stable")[:MOST_SENTENCES]}
    return [replace(places[index], follows=places[index].follows and index - 1 in kept) for index in sorted(kept)]


def _read(texts: Sequence[str], engine: ContextEngine) -> Mapping[str, Tokens]:
    unique = list(dict.fromkeys(texts))
    return dict(zip(unique, engine.tokens(unique), strict=True))


def _sentence(tokens: Sequence[Token], read: Tokens, follows: bool) -> Sentence:
    """A token's vector is the mean direction of what the model reads in it."""
    begin = tokens[0].start
    starts = np.array([token.start - begin for token in tokens])
    sums = np.zeros((len(tokens), read.vectors.shape[1]))
    if len(read.offsets):
        owner = np.searchsorted(starts, read.offsets[:, 0], side="right") - 1
        np.add.at(sums, np.maximum(owner, 0), read.vectors)
    return Sentence(tokens, unit(sums), unit(read.vectors.sum(axis=0, dtype=np.float64)), follows)


def _draft(
    question: Question,
    places: Sequence[Place],
    strange: bool,
    read: Mapping[str, Tokens],
    prompt: Prompt,
    grammar: Grammar,
    forms: Forms,
) -> _Draft:
    kind = prompt.types[question.type]
    weights = closeness.weigh(question, [place.tokens for place in places])
    asked = _sentence(question.tokens, read[question.text], False)
    its = [_sentence(place.tokens, read[place.text], place.follows) for place in places]
    matched = closeness.match(question, asked, its, weights, grammar)
    ahead = prompt.weights["sentence"] * matched.similarity + prompt.weights["cover"] * matched.cover
    best = sorted(np.argsort(-ahead, kind="stable")[:BEST_SENTENCES])
    found: list[tuple[int, Candidate]] = []
    columns: list[Array] = [np.zeros((0, len(closeness.IN_TEXT)))]
    lead, endings = frozenset(kind.before), prompt.verb_endings
    for index in best:
        of_sentence = candidates(its[index].tokens, grammar.carries_topic, forms)
        if of_sentence:
            columns.append(closeness.measure(question, asked, its, index, of_sentence, matched, grammar, lead, endings))
            found += [(index, candidate) for candidate in of_sentence]
    measured = np.concatenate(columns)
    weight = np.array([prompt.weights[name] for name in closeness.IN_TEXT])
    first = measured @ weight + [kind.forms[candidate.form] for _, candidate in found]
    kept = np.argsort(-first, kind="stable")[:MOST_ALONE]
    return _Draft(
        Found(
            question=question,
            places=places,
            matched=matched,
            candidates=[found[index] for index in kept],
            columns=measured[kept],
            strange=strange,
            denied=[grammar.denies(place.tokens) for place in places],
        ),
        its,
    )


def _read_alone(drafts: Sequence[_Draft | None], engine: ContextEngine, prompt: Prompt) -> list[Found | None]:
    """Adds the columns of ``closeness.ALONE``: all texts of all drafts in one call."""
    texts: dict[str, None] = {}
    for draft in drafts:
        if draft:
            texts |= dict.fromkeys([*draft.found.quotes, *_kinds(draft.found.question, prompt)])
    row = {text: index for index, text in enumerate(texts)}
    vectors = engine.embed(list(texts)).astype(np.float64)
    return [_with_alone(draft, row, vectors, prompt) if draft else None for draft in drafts]


def _with_alone(draft: _Draft, row: Mapping[str, int], vectors: Array, prompt: Prompt) -> Found:
    found, its = draft.found, draft.sentences
    if not found.candidates:
        return replace(found, columns=np.zeros((0, len(closeness.IN_TEXT) + len(closeness.ALONE))))
    kinds = unit(vectors[[row[text] for text in _kinds(found.question, prompt)]].sum(axis=0))
    one = np.arange(1)
    context = np.concatenate(
        [closeness.context_vectors(its[place], one + c.first, one + c.last) for place, c in found.candidates]
    )
    means = np.stack([its[place].mean for place, _ in found.candidates])
    alone = closeness.alone(
        vectors[[row[text] for text in found.quotes]], context, means, kinds, bool(found.question.head)
    )
    return replace(found, columns=np.concatenate([found.columns, alone], axis=1))


def _kinds(question: Question, prompt: Prompt) -> tuple[str, ...]:
    return (question.noun,) if question.head else prompt.types[question.type].means
