"""Extraction: the passage of a text that answers a question, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelloop.engines import ContextEngine
from labelloop.tasks.calibration import rounded
from labelloop.tasks.closeness import ALONE, IN_TEXT, Array
from labelloop.tasks.extraction_prompt import OUTCOMES, SIGNS, Prompt
from labelloop.tasks.quoting import Found, search
from labelloop.words import Answer, FieldPlan, Reading, Span

PROMPT = "extraction/v1"
NO_QUESTION = "There is no question."
TOGETHER = 16  # readings whose sentences are read at once: bounds memory


def answer(plan: FieldPlan, readings: Sequence[Reading], engine: ContextEngine, prompt: Prompt) -> list[Answer]:
    """One answer per reading: the passage that fits best, or that there is none, whichever is likelier to be right.

    The question is the reading's query; of a field without a question object, the words that stand with it. A TextArea
    is filled with the passage as it stands in the text; every other field marks it, with its first label.
    """
    answers: list[Answer] = []
    for start in range(0, len(readings), TOGETHER):
        part = readings[start : start + TOGETHER]
        asked = [reading.query.strip() for reading in part]
        if not plan.field.query:
            asked = [query or plan.field.question.strip() for query in asked]
        for found in search(part, asked, engine, prompt):
            answers.append(_decide(plan, found, prompt) if found else _unasked(plan))
    return answers


def _unasked(plan: FieldPlan) -> Answer:
    return Answer(field=plan.field.name, labels=(), score=0.0, reason=NO_QUESTION)


def _decide(plan: FieldPlan, found: Found, prompt: Prompt) -> Answer:
    field = plan.field
    scores = fit(found, prompt)
    facts = {"type": found.question.type, "sentences": len(found.places)}
    if not len(scores):
        return Answer(field=field.name, labels=(), score=1.0, provenance=facts)  # nothing could be marked
    chances = dict(zip(OUTCOMES, outcomes(signs(found, scores), prompt), strict=True))
    place, one = found.candidates[int(scores.argmax())]
    where = found.places[place]
    span = Span(
        field=field.name,
        source=where.passage.name,
        start=where.tokens[one.first].start,
        end=where.tokens[one.last].end,
        text=where.quote(one.first, one.last),
        label=field.labels[0].path if field.labels else (),
        score=rounded(chances["right"]),
    )
    facts |= {"best": span.model_dump(mode="json"), "chances": {name: rounded(p) for name, p in chances.items()}}
    if chances["right"] + prompt.near_counts * chances["near"] <= chances["none"]:
        return Answer(field=field.name, labels=(), score=rounded(chances["none"]), provenance=facts)
    if field.tag == "TextArea":
        return Answer(field=field.name, labels=(), texts=(span.text,), score=span.score, provenance=facts)
    return Answer(field=field.name, labels=(), spans=(span,), score=span.score, provenance=facts)


def fit(found: Found, prompt: Prompt) -> Array:
    """(n_candidates,) logits of each candidate against the others."""
    weights = np.array([prompt.weights[name] for name in (*IN_TEXT, *ALONE)])
    forms = prompt.types[found.question.type].forms
    logits: Array = found.columns @ weights + np.array([forms[one.form] for _, one in found.candidates])
    return logits.round(4)  # what is beyond differs with the batch that a text was computed in


def signs(found: Found, scores: Array) -> Array:
    """(len(SIGNS),) of whether the best candidate is right, or the question has no answer.

    ``certain``: the log-probability of the best candidate among all. ``sentence``: the similarity of its sentence to
    the question. ``exact``: the share of the question's terms that stand there as they are. ``strange``: the question
    has a name or a number that the text lacks. ``denied``: the question denies what the sentence does not. ``weakest``:
    how well that term of the question is matched in the text that is matched worst. Questions that SQuAD 2.0's writers
    made unanswerable differ from the text in such a way (Rajpurkar et al. 2018, table 2).
    """
    best = int(scores.argmax())
    place = found.candidates[best][0]
    certain = -float(np.log(np.exp(scores - scores[best]).sum()))
    return np.array(
        [
            1.0,
            certain,
            found.matched.similarity[place],
            found.matched.exact[place],
            found.strange,
            found.question.denied and not found.denied[place],
            found.matched.terms.min(initial=1.0),
        ]
    )


def outcomes(told: Array, prompt: Prompt) -> Array:
    """(len(OUTCOMES),) probabilities: that there is no answer; that the best candidate is exactly right; that it shares
    most of its words with the answer; that it is wrong. ``prompt.answerable`` is the share of questions with an answer
    that is expected: 0.5 changes nothing, at 1 there always is one."""
    weights = np.array([[prompt.outcomes[outcome][sign] for sign in SIGNS] for outcome in OUTCOMES])
    logits = weights @ told
    exponents = np.exp(logits - logits.max()) * np.array([1 - prompt.answerable, *[prompt.answerable] * 3])
    chances: Array = exponents / exponents.sum()
    return chances
