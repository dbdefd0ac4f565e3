"""Choosing among labels with a remote model: each is an option with a letter, and the letters' chances are read."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np

from labelloop.engines import Ask, Vectors
from labelloop.engines.remote_dialect import MOST_TOP, Choice, Dialect, Request, Token

log = logging.getLogger(__name__)
LETTERS = ascii_uppercase[:MOST_TOP]
FLOOR = 1.0  # nats below the least likely token that was told
NOTHING = "none of these"
DEFAULT_QUESTION = "Which option fits the text best?"
_FRAME = re.compile("^(.*?)⟦(.*)⟧", re.DOTALL)
_AROUND = " \t\n▁Ġ_*\"'`([{<)]}>.:,"
Scoring = Callable[[Sequence[int]], Vectors]


class Options(NamedTuple):
    """What is asked of a text. ``texts``: of each label, in order."""

    question: str
    texts: tuple[str, ...]


Shown = tuple[str, int]
"""A demonstration: a text, and the place of its label."""


def options(labels: Sequence[Sequence[str]]) -> Options:
    """The question and an option per label, from verbalizations.

    A verbalization is the text of an option; several are put beside each other. What stands before a mark, as in
    "What is it about? ⟦sports⟧", is the question, where all labels have the same. A label alone gets a rival.

    >>> options([["What? ⟦sports⟧", "sports", "Games and matches."], ["What? ⟦music⟧"]])
    Options(question='What?', texts=('sports; Games and matches.', 'music'))
    """
    questions: list[set[str]] = []
    texts = []
    for verbalizations in labels:
        found = [_FRAME.search(one) or re.match(r"()(.*)", one, re.DOTALL) for one in verbalizations]
        parts = [(match[1].strip(), " ".join(match[2].split())) for match in found if match]
        questions.append({question for question, _ in parts if question})
        texts.append("; ".join(dict.fromkeys(text for _, text in parts)))
    shared = set.intersection(*questions) if questions else set()
    return Options(min(shared, default=DEFAULT_QUESTION), tuple(texts if len(texts) > 1 else [*texts, NOTHING]))


def prompt(question: str, texts: Sequence[str], text: str) -> Ask:
    """One question with at most as many options as there are letters. A text cannot add an option: only the letters of
    those that are listed are read."""
    listed = "\n".join(f"{letter}. {one}" for letter, one in zip(LETTERS, texts, strict=False))
    last = LETTERS[len(texts) - 1]
    content = (
        f'Text:\n"""\n{text}\n"""\n\n{question}\n{listed}\n\n'
        f"Answer with the letter of one option (A to {last}) and nothing else."
    )
    return Ask((("user", content),))


def turns(asked: Options, shown: Sequence[Shown], chosen: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """The messages of demonstrations that stand before a question with the ``chosen`` options; those of other labels
    are left out, since no letter stands for them."""
    texts = [asked.texts[index] for index in chosen]
    made: list[tuple[str, str]] = []
    for text, label in shown:
        if label in chosen:
            made += [*prompt(asked.question, texts, text).messages, ("assistant", LETTERS[list(chosen).index(label)])]
    return tuple(made)


def score(dialect: Dialect, asked: Options, text: str, shown: Sequence[Shown] = ()) -> Vectors:
    """(n_labels,) log-probability of each option's letter among all letters; in rounds where there are many options.

    Demonstrations are turns of the conversation before the question.

    Models prefer some letters to others (Zheng et al. 2024, "Large language models are not robust multiple choice
    selectors"). The order stays that of the labels, so a letter's and a label's prior are one, and
    ``tasks.calibration`` removes both at once, as it finds them on general texts. Without log-probabilities the letter
    that is chosen gets 1 and the others 0.
    """

    def ask(chosen: Sequence[int]) -> Vectors:
        question = prompt(asked.question, [asked.texts[index] for index in chosen], text)
        request = Request(Ask((*turns(asked, shown, chosen), *question.messages)), 1, top=MOST_TOP)
        letters = LETTERS[: len(chosen)]
        if "logprobs" not in dialect.refused:
            told = dialect.complete(request)[0].logprobs
            if told is not None:
                return by_chance(told, letters, dialect.model)
        choice = dialect.complete(request._replace(max_tokens=4, top=0, choices=tuple(letters)))[0]
        return by_choice(choice, letters, dialect.model)

    return rounds(len(asked.texts), ask)


def rounds(count: int, ask: Scoring, most: int = MOST_TOP) -> Vectors:
    """(count,) scores of options of which only ``most`` can be asked at once.

    A tournament: groups of options that stand far from each other in the list (those beside each other are often alike,
    and would throw each other out), then the best of all groups against each other. What that says of a finalist
    counts; the others of a group stand below its last finalist by as much as in their own round.
    """
    if count <= most:
        return ask(range(count))
    n_groups = -(-count // most)
    places = max(1, most // n_groups)
    first = np.zeros(count, np.float32)
    groups = [np.arange(start, count, n_groups) for start in range(n_groups)]
    through = []
    for group in groups:
        first[group] = ask(group.tolist())
        through.append(group[np.argsort(-first[group], kind="stable")[:places]])
    finalists = np.sort(np.concatenate(through))
    final = rounds(len(finalists), lambda chosen: ask(finalists[list(chosen)].tolist()), most)
    scores = first.copy()
    last = np.zeros(count, np.float32)
    last[finalists] = final
    for group, its in zip(groups, through, strict=True):
        scores[group] += last[its].min() - first[its].min()
    scores[finalists] = final
    return scores


def by_chance(told: Sequence[Token], letters: str, model: str = "") -> Vectors:
    """(n_letters,) log-probability of each letter among them all, from the alternatives of a reply's first token.

    The spellings of a letter ("A", " A", "a") are summed. A letter that is not among the alternatives is less likely
    than the least of them, and taken for ``FLOOR`` below it.
    """
    top = told[0].top if told else {}
    found = dict.fromkeys(letters, -math.inf)
    for token, logprob in top.items():
        letter = token.strip(_AROUND).upper()
        if letter in found and math.isfinite(logprob):
            found[letter] = float(np.logaddexp(found[letter], logprob))
    if all(value == -math.inf for value in found.values()):
        log.warning("the remote model %s does not answer with a letter: all labels are equal for it", model)
        return np.full(len(letters), -math.log(len(letters)), np.float32)
    floor = min(value for value in top.values() if math.isfinite(value)) - FLOOR
    values = np.array([max(value, floor) for value in found.values()])
    return np.asarray(values - np.logaddexp.reduce(values), np.float32)


def by_choice(choice: Choice, letters: str, model: str = "") -> Vectors:
    """(n_letters,) 1 for the letter that was chosen, 0 for the others; all 0 where none was."""
    found = re.match(r"[\W_]*([A-Za-z])(?![A-Za-z'])", choice.text)
    chosen = found[1].upper() if found else ""
    if chosen not in letters or not chosen:
        log.warning("the remote model %s does not answer with a letter: all labels are equal for it", model)
    return np.array([float(letter == chosen) for letter in letters], np.float32)
