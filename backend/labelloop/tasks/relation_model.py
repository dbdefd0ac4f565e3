"""From pairs of passages to evidence for relations: models fitted, once per process, on the prompt's own sentences.

Two of them. Relations that the prompt knows are told apart by a softmax over what the encoder says of both passages and
of the words between them, and over these words themselves. Labels that only their names explain are compared with the
pair: as texts ("X founded by Y"), and after a linear map from pairs to the names of relations, learned on the relations
that the prompt knows (Romera-Paredes and Torr 2015), so that it serves names that it has not seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelloop.engines import ContextEngine, Vectors
from labelloop.engines.recent import Recent
from labelloop.tasks.pairs import clues, contexts, indicators, masked
from labelloop.tasks.relation_prompt import Ends, Example, RelationPrompt, fill
from labelloop.tasks.threads import one_thread

Array = NDArray[np.float64]
Class = tuple[str, bool]  # a relation of the prompt, and whether its head comes first in the text
NONE: Class = ("", True)
ANY: Class = ("*", True)  # of a config that names no relations: whichever it is

DEPTH = 0.5  # of the layer that is read: the last one of a sentence encoder says more of the text than of the passage
EACH = 2  # sentences from a pattern of a relation that is asked for
OTHERS = 3  # of the patterns of the others, every third is evidence for "none"
NAMES = 4  # of a relation, which the map to names is learned with
STRENGTH = 2.0  # inverse of the softmax's penalty, as scikit-learn has it
RIDGE = 3.0


class Seen(NamedTuple):
    """Pairs as the models see them: (n_pairs, 3 d) contexts, the clues of each, and each with letters in place."""

    contexts: Vectors
    clues: list[set[str]]
    masked: list[str]

    def part(self, rows: Sequence[int]) -> Seen:
        return Seen(self.contexts[list(rows)], [self.clues[row] for row in rows], [self.masked[row] for row in rows])


@dataclass(frozen=True)
class Reader:
    """An engine with what tells it apart from others in caches: its name, model and revision."""

    engine: ContextEngine
    identity: tuple[str, ...]


def see(engine: ContextEngine, texts: Sequence[str], pairs: Sequence[Sequence[tuple[Ends, Ends]]]) -> list[Seen]:
    """The pairs of each text. A text is read once, however many pairs it has."""
    seen = []
    for tokens, text, its in zip(engine.tokens(texts, DEPTH), texts, pairs, strict=True):
        found = [clues(text, first, second) for first, second in its]
        seen.append(Seen(contexts(tokens, its), found, [masked(text, first, second) for first, second in its]))
    return seen


@dataclass(frozen=True)
class Known:
    """A softmax over classes, the last of them ``NONE``."""

    classes: tuple[Class, ...]
    vocabulary: dict[str, int]
    weights: Array
    biases: Array

    def evidence(self, seen: Seen) -> Array:
        """(n_pairs, n_classes) logits."""
        made: Array = features(seen, self.vocabulary) @ self.weights.T + self.biases
        return made


@dataclass(frozen=True)
class Told:
    """The map from pairs to names: ``weights`` (n_features, d). ``usual``: (1, d) the mean of what it says of the
    sentences that it was fitted on; ``plain``: (1, d) the mean vector of passages that stand together without a
    relation."""

    vocabulary: dict[str, int]
    weights: Array
    bias: Array
    usual: Array
    plain: Array

    def evidence(self, seen: Seen, vectors: Vectors, names: Vectors) -> Array:
        """(n_pairs, n_names) how much nearer a pair is to a relation's name than pairs are in general.

        Args:
            vectors: (n_pairs, d) of ``seen.masked``.
            names: (n_names, d) of what the label says of a pair in this direction.
        """
        mapped = unit(features(seen, self.vocabulary) @ self.weights + self.bias)
        made: Array = 0.5 * (mapped - self.usual) @ names.T + 0.5 * (vectors - self.plain) @ names.T
        return made


_seen: Recent[Hashable, tuple[Seen, tuple[Example, ...]]] = Recent(512)
_known: Recent[Hashable, Known] = Recent(64)
_told: Recent[Hashable, Told] = Recent(8)


def known(reader: Reader, prompt: RelationPrompt, wanted: frozenset[str]) -> Known:
    """The softmax for the relations ``wanted``; the sentences of others, and of no relation, are its ``NONE``."""
    where = (*reader.identity, prompt.digest, wanted)
    return _known.get([where], lambda _: [_fit_known(reader, prompt, wanted)])[0]


def told(reader: Reader, prompt: RelationPrompt) -> Told:
    """The map to names, learned on every relation of the prompt."""
    return _told.get([(*reader.identity, prompt.digest)], lambda _: [_fit_told(reader, prompt)])[0]


def class_of(name: str, forward: bool, prompt: RelationPrompt) -> Class:
    return (name, forward or prompt.relations[name].symmetric)


def _fit_known(reader: Reader, prompt: RelationPrompt, wanted: frozenset[str]) -> Known:
    if not wanted:
        return Known((NONE,), {}, np.zeros((1, 3 * reader.engine.embed(["X"]).shape[1])), np.zeros(1))
    if wanted == {ANY[0]}:
        seen, classes = _corpus(reader, prompt, [*((name, 1, 1) for name in prompt.relations), ("", EACH, 1)])
        return _softmax(seen, [NONE if one == NONE else ANY for one in classes])
    near = {kin for name in wanted for kin in prompt.relations[name].kin} - wanted
    near |= {name for name, relation in prompt.relations.items() if wanted & set(relation.kin)} - wanted
    asked = [(name, EACH, 1) for name in sorted(wanted)] + [("", EACH, 1)]
    asked += [(name, 1, OTHERS) for name in prompt.relations if name not in wanted | near]
    seen, classes = _corpus(reader, prompt, asked)
    return _softmax(seen, [one if one[0] in wanted else NONE for one in classes])


def _softmax(seen: Seen, labels: Sequence[Class]) -> Known:
    from sklearn.linear_model import LogisticRegression

    order = (*sorted(set(labels) - {NONE}), NONE)
    vocabulary = vocabulary_of(seen)
    model = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
    with one_thread():
        model.fit(features(seen, vocabulary), [order.index(one) for one in labels])
    weights, biases = model.coef_, model.intercept_
    if len(order) == 2:  # scikit-learn keeps one row for two classes: that of the second
        weights, biases = np.stack([-weights[0], weights[0]]) / 2, np.array([-biases[0], biases[0]]) / 2
    return Known(order, vocabulary, np.asarray(weights, np.float64), np.asarray(biases, np.float64))


def _fit_told(reader: Reader, prompt: RelationPrompt) -> Told:
    seen, classes = _corpus(reader, prompt, [(name, 1, 1) for name in (*prompt.relations, "")])
    told_by = {one: _names_of(one, prompt) for one in dict.fromkeys(classes)}
    vectors = iter(reader.engine.embed([text for texts in told_by.values() for text in texts]))
    aims = {one: unit(np.mean([next(vectors) for _ in texts], axis=0)) for one, texts in told_by.items()}
    vocabulary = vocabulary_of(seen)
    rows, targets = features(seen, vocabulary), np.stack([aims[one] for one in classes])
    middle, bias = rows.mean(axis=0), targets.mean(axis=0)
    inner = (rows - middle) @ (rows - middle).T + RIDGE * np.eye(len(rows))
    weights = (rows - middle).T @ np.linalg.solve(inner, targets - bias)
    bias = bias - middle @ weights
    usual = unit(rows @ weights + bias).mean(axis=0, keepdims=True)
    alone = [text for text, one in zip(seen.masked, classes, strict=True) if one == NONE]
    return Told(vocabulary, weights, bias, usual, reader.engine.embed(alone).mean(axis=0, keepdims=True))


def _names_of(one: Class, prompt: RelationPrompt) -> list[str]:
    """What the map to names should say of a sentence of this class."""
    if one == NONE:
        return ["X and Y", "X, Y"]
    name, forward = one
    return [text for told in prompt.relations[name].told(True)[:NAMES] for text in statements(told, forward, prompt)]


def statements(phrase: str, forward: bool, prompt: RelationPrompt) -> list[str]:
    """What a label says of a pair of which the first passage is the head, or not."""
    ends = ("X", "Y") if forward else ("Y", "X")
    return [fill(pattern, *ends, phrase).text for pattern in prompt.hypotheses]


def _corpus(
    reader: Reader, prompt: RelationPrompt, asked: Sequence[tuple[str, int, int]]
) -> tuple[Seen, tuple[Class, ...]]:
    """The sentences of relations ("" for none) as ``Sentences.examples`` has them, and the class of each."""

    def read(new: list[Hashable]) -> list[tuple[Seen, tuple[Example, ...]]]:
        sets = [_examples(prompt, *wanted[key]) for key in new]
        flat = [example for examples in sets for example in examples]
        seen = see(reader.engine, [e.text for e in flat], [[(e.first, e.second)] for e in flat])
        made, start = [], 0
        for examples in sets:
            made.append((joined(seen[start : start + len(examples)]), examples))
            start += len(examples)
        return made

    wanted: dict[Hashable, tuple[str, int, int]] = {(*reader.identity, prompt.digest, *one): one for one in asked}
    found = _seen.get(list(wanted), read)
    classes = [
        class_of(name, example.forward, prompt) if name else NONE
        for (name, _, _), (_, examples) in zip(asked, found, strict=True)
        for example in examples
    ]
    return joined([seen for seen, _ in found]), tuple(classes)


def _examples(prompt: RelationPrompt, name: str, each: int, step: int) -> tuple[Example, ...]:
    return (prompt.relations[name] if name else prompt.none).examples(each, step)


def joined(parts: Sequence[Seen]) -> Seen:
    """The pairs of all parts, of which there is at least one."""
    return Seen(
        np.concatenate([part.contexts for part in parts]),
        [words for part in parts for words in part.clues],
        [text for part in parts for text in part.masked],
    )


def vocabulary_of(seen: Seen, often: int = 3) -> dict[str, int]:
    """The clues that occur ``often`` enough to learn from."""
    counts: dict[str, int] = {}
    for words in seen.clues:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return {word: index for index, word in enumerate(sorted(word for word, count in counts.items() if count >= often))}


def features(seen: Seen, vocabulary: dict[str, int]) -> Array:
    """(n_pairs, n_features) of the pairs' clues and contexts."""
    return np.concatenate([indicators(seen.clues, vocabulary), seen.contexts], axis=1).astype(np.float64)


def unit(vectors: NDArray[np.floating]) -> Array:
    made: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return made
