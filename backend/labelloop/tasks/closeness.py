"""How well passages fit a question: what is measured of sentences and of each candidate, in columns with names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelloop.tasks.candidates import Candidate
from labelloop.tasks.questions import Grammar, Question
from labelloop.tasks.sentences import Token

Array = NDArray[np.float64]

DECAY = 0.85  # what the nearness of a term loses with each word between it and the candidate
SAME = 0.35  # cosine of two words in their contexts from which on they count as akin
STRONG = 1.5  # weight of names and numbers against that of other terms

IN_TEXT = (
    *("sentence", "cover", "cover_before", "near_left", "near_right", "exact_right", "touches_right"),
    *("repeats", "only_repeats", "left_edge", "right_edge", "cuts_left", "cuts_right", "lead", "opens"),
    *("words", "one_word", "comma", "and", "joins", "verb_first", "verb_last", "head_near", "like_asking", "like_head"),
)
"""Columns of ``measure``: ``sentence``: similarity of sentence and question. ``cover``: share of the question's terms
that the sentence has, by weight, akin ones in part; ``cover_before``: of the sentence before. ``near_*``: the same,
less with distance from the candidate; ``exact_right``: of equal words only; ``touches_right``: of the next word.
``repeats``: share of its words that the question has; ``only_repeats``: all. ``*_edge``: no word of a topic goes on
there; ``cuts_*``: a name goes on there. ``lead``: a word before it that stands before such answers. ``opens``: the
sentence. ``words``: log of their number; ``joins``: how many words inside carry no topic. ``verb_*``: its first or last
word looks like a verb. ``head_near``: the question's noun is within three words. ``like_*``: similarity in context to
the word that asks, and to the noun."""

ALONE = ("means_head", "means_type", "in_sentence", "in_context")
"""Columns for candidates that were read alone too: similarity to the question's noun, or to the type where it has none;
to the sentence; to the same words in context (a whole phrase means alone what it means there, a torn one does not)."""


@dataclass(frozen=True)
class Sentence:
    """A sentence with its words' vectors. ``words``: (n_tokens, d), rows of length 1 or 0. ``mean``: (d,) of length 1.
    ``follows``: whether the sentence before it in the list is the one before it in the text."""

    tokens: Sequence[Token]
    words: Array
    mean: Array
    follows: bool


@dataclass(frozen=True)
class Match:
    """What sentences share with a question. ``similarity``, ``cover``, ``exact``: (n_sentences,). ``akin``, ``equal``:
    per sentence (n_tokens,) weight of the question's terms that each word matches. ``terms``: (n_terms,) how well each
    term is matched anywhere; 1.0 by an equal word."""

    similarity: Array
    cover: Array
    exact: Array
    akin: list[Array]
    equal: list[Array]
    terms: Array


def weigh(question: Question, sentences: Sequence[Sequence[Token]]) -> dict[str, float]:
    """Stem of each term -> its weight; all sum to 1. What few of the text's sentences have weighs more."""
    counts = Counter(stem for sentence in sentences for stem in {token.stem for token in sentence if token.is_word})
    stems = dict.fromkeys(question.tokens[index].stem for index in question.terms)
    many = max(len(sentences), 1)
    weights = {
        stem: math.log(1 + many / (counts[stem] or 0.5)) * (STRONG if stem in question.strong else 1.0)
        for stem in stems
    }
    total = sum(weights.values())
    return {stem: weight / total for stem, weight in weights.items()} if total else {}


def match(
    question: Question, asked: Sentence, sentences: Sequence[Sentence], weights: Mapping[str, float], grammar: Grammar
) -> Match:
    """Compares the question, whose vectors are ``asked``, with each sentence."""
    stems = [question.tokens[index].stem for index in question.terms]
    repeated = Counter(stems)
    weight = np.array([weights[stem] / repeated[stem] for stem in stems])
    terms = asked.words[list(question.terms)]
    best = np.zeros(len(stems))
    found = Match(np.zeros(len(sentences)), np.zeros(len(sentences)), np.zeros(len(sentences)), [], [], best)
    for index, sentence in enumerate(sentences):
        topic = np.array([grammar.carries_topic(token) for token in sentence.tokens])
        equal = np.array([[token.stem == stem for token in sentence.tokens] for stem in stems], np.float64)
        equal = equal.reshape(len(stems), len(sentence.tokens))
        akin = np.maximum(np.clip((terms @ sentence.words.T - SAME) / (1 - SAME), 0, 1) * topic, equal)
        found.similarity[index] = sentence.mean @ asked.mean
        found.cover[index] = weight @ akin.max(axis=1)
        found.exact[index] = weight @ equal.max(axis=1)
        found.akin.append(weight @ akin)
        found.equal.append(weight @ equal)
        np.maximum(best, akin.max(axis=1), out=best)
    return found


def measure(
    question: Question,
    asked: Sentence,
    sentences: Sequence[Sentence],
    index: int,
    candidates: Sequence[Candidate],
    matched: Match,
    grammar: Grammar,
    lead: frozenset[str],
    verb_endings: tuple[str, ...],
) -> Array:
    """(n_candidates, len(IN_TEXT)) of the candidates of one sentence.

    Args:
        index: of the sentence. lead: words that stand before answers of the question's type.
    """
    sentence = sentences[index]
    tokens = sentence.tokens
    n = len(tokens)
    first = np.array([candidate.first for candidate in candidates])
    last = np.array([candidate.last for candidate in candidates])
    before, after = np.maximum(first - 1, 0), np.minimum(last + 1, n - 1)
    has_before, has_after = first > 0, last + 1 < n
    head = {question.tokens[one].stem for one in question.head}

    def flags(values: list[bool]) -> NDArray[np.bool_]:
        return np.array(values, bool)

    def count(values: NDArray[np.bool_]) -> Array:
        """(n_candidates,) how many of the candidate's tokens have it."""
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(sums[last + 1] - sums[first])

    topic = flags([grammar.carries_topic(token) for token in tokens])
    word = flags([token.is_word for token in tokens])
    capital = flags([token.text[0].isupper() for token in tokens])
    verb = flags([token.is_word and token.low.endswith(verb_endings) for token in tokens]) & ~capital
    leads = flags([token.low in lead for token in tokens])
    article = flags([token.low in {"the", "a", "an"} for token in tokens])
    is_head = flags([token.is_word and token.stem in head for token in tokens])
    akin, equal = matched.akin[index], matched.equal[index]
    left, right = _decayed(akin), _decayed(akin[::-1])[::-1]
    exact_right = _decayed(equal[::-1])[::-1]
    heads = np.concatenate([[0.0], np.cumsum(is_head)])
    repeats = count(equal > 0) / np.maximum(count(topic), 1)
    name_before, name_after = has_before & capital[before] & topic[before], has_after & capital[after] & topic[after]
    leading = np.where(article[before], np.maximum(before - 1, 0), before)
    vectors = context_vectors(sentence, first, last)
    columns = {
        "sentence": np.full(len(first), matched.similarity[index]),
        "cover": np.full(len(first), matched.cover[index]),
        "cover_before": np.full(len(first), matched.exact[index - 1] if sentence.follows else 0.0),
        "near_left": left[first],
        "near_right": right[last + 1],
        "exact_right": exact_right[last + 1],
        "touches_right": has_after & (equal[after] > 0),
        "repeats": repeats,
        "only_repeats": repeats >= 1,
        "left_edge": ~(has_before & topic[before]),
        "right_edge": ~(has_after & topic[after]),
        "cuts_left": name_before & capital[first],
        "cuts_right": name_after & capital[last],
        "lead": has_before & leads[leading],
        "opens": first == 0,
        "words": np.log(np.maximum(count(word), 1)),
        "one_word": count(word) <= 1,
        "comma": count(flags([token.text == "," for token in tokens])) > 0,
        "and": count(flags([token.low in {"and", "or"} for token in tokens])) > 0,
        "joins": count(word & ~topic & ~article),
        "verb_first": verb[first],
        "verb_last": verb[last],
        "head_near": (heads[np.minimum(last + 4, n)] - heads[last + 1] + heads[first] - heads[np.maximum(first - 3, 0)])
        > 0,
        "like_asking": vectors @ asked.words[question.asks] if question.asks is not None else 0 * left[first],
        "like_head": vectors @ unit(asked.words[list(question.head)].sum(axis=0)) if head else 0 * left[first],
    }
    return np.stack([np.asarray(columns[name], np.float64) for name in IN_TEXT], axis=1)


def alone(vectors: Array, context: Array, sentence: Array, kinds: Array, has_head: bool) -> Array:
    """(n_candidates, len(ALONE)) from vectors of length 1, one row per candidate.

    Args:
        vectors: of the candidates read alone. context: of the same words in their sentence. sentence: of that sentence.
        kinds: (d,) of the question's noun, or where it has none of its type.
    """
    kind = vectors @ kinds
    return np.stack(
        [
            kind * has_head,
            kind * (not has_head),
            (vectors * sentence).sum(axis=1),
            (vectors * context).sum(axis=1),
        ],
        axis=1,
    )


def context_vectors(sentence: Sentence, first: NDArray[np.intp], last: NDArray[np.intp]) -> Array:
    """(n, d) the mean direction of the words of each run of tokens [first, last]."""
    sums = np.concatenate([np.zeros((1, sentence.words.shape[1])), np.cumsum(sentence.words, axis=0)])
    return unit(sums[last + 1] - sums[first])


def unit(vectors: Array) -> Array:
    """Along the last axis of length 1, or 0 where they are 0."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    scaled: Array = vectors / lengths
    return scaled


def _decayed(values: Array) -> Array:
    """(n + 1,) at i: the sum of the values before i, each less by ``DECAY`` per step."""
    sums = np.zeros(len(values) + 1)
    for index, value in enumerate(values):
        sums[index + 1] = sums[index] * DECAY + value
    return sums
