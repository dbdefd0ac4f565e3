"""Question answering: an answer in the model's words, from a text where there is one; and where it stands in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field as Key

from labelloop.prompting import Phrases
from labelloop.tasks import replies
from labelloop.tasks.calibration import rounded
from labelloop.tasks.sentences import Token, sentences, tokens
from labelloop.tasks.writing import Craft, Unwritable
from labelloop.tasks.writing_prompt import Demonstration, Job, WritingPrompt
from labelloop.templating import Value
from labelloop.words import Answer, FieldPlan, Passage, Reading, Span

PROMPT = "question_answering/v1"
NO_QUESTION = "There is no question."
NOTHING = "\u2205"
"""Stands for "there is no answer" among candidates."""
_LEAST_SHARED = 2  # words of the question


class Prompt(WritingPrompt):
    """A prompt file of question answering. ``unknown``: what replies say where the text has no answer. ``brief``: a
    reply of at most so many words loses the full stop at its end."""

    variables: ClassVar[frozenset[str]] = frozenset({"context", "asked"})

    unknown: Phrases
    brief: Annotated[int, Key(ge=0)] = 8


def asked(job: Job) -> tuple[str, str]:
    """The question and the text that it is about, "" for none: the question objects ask, else the words that stand with
    the control where they end in a question mark, else the text itself is the question."""
    if job.query.strip():
        return job.query.strip(), job.text
    told = job.question.strip()
    if told.endswith(("?", "？", "؟", ";")) and job.text:
        return told, job.text
    return job.text, ""


def tell(job: Job, prompt: Prompt) -> Mapping[str, Value]:
    question, context = asked(job)
    return {"asked": question, "context": context}


def shows(job: Job, prompt: Prompt) -> Sequence[Demonstration]:
    """Those with a text where there is one, those without where there is none."""
    return [one for one in prompt.demonstrations if bool(asked(one.job)[1]) == bool(asked(job)[1])]


def clean(text: str, job: Job, prompt: Prompt) -> str:
    text = replies.clean(text, prompt.lead_ins)
    if any(text.casefold().startswith(one.casefold()) for one in prompt.unknown):
        return NOTHING
    found = tokens(text)
    if text.endswith(".") and sum(token.is_word for token in found) <= prompt.brief and not found[-1].is_word:
        text = text[:-1].rstrip()
    return text


def fault(text: str, job: Job, prompt: Prompt) -> str:
    question, context = asked(job)
    if context and replies.invents(text, context, question):
        return replies.INVENTS
    return "repeats the question" if replies.same(text, question) else ""


def fallback(job: Job, prompt: Prompt) -> tuple[str, str] | None:
    """The sentence of the text that shares most words with the question, rare ones before frequent ones; None where it
    shares fewer than two."""
    question, context = asked(job)
    wanted = {token.stem for token in tokens(question) if token.is_word}
    each = [(one, {token.stem for token in one} & wanted) for one in sentences(context)]
    often = Counter(word for _, shared in each for word in shared)
    best = max(each, key=lambda one: sum(1 / often[word] for word in one[1]), default=None)
    if best is None or len(best[1]) < _LEAST_SHARED:
        return None
    return "extracted (the sentence nearest to the question)", context[best[0][0].start : best[0][-1].end]


def settle(job: Job, prompt: Prompt) -> Job:
    """The job. Raises Unwritable where nothing is asked."""
    if not asked(job)[0]:
        raise Unwritable(NO_QUESTION)
    return job


def locate(text: str, question: str, passages: Sequence[Passage]) -> tuple[Passage, int, int] | None:
    """Where the words of a text stand in a passage, in any case; of several places that whose sentence shares most
    words with the question. Characters [start, end)."""
    wanted = _bare(tokens(text))
    if not wanted:
        return None
    asked_for = {token.stem for token in tokens(question) if token.is_word}
    best: tuple[int, Passage, int, int] | None = None
    for passage in passages:
        for sentence in sentences(passage.text):
            low = [token.low for token in sentence]
            shared = len(asked_for & {token.stem for token in sentence})
            for first in range(len(low) - len(wanted) + 1):
                if low[first : first + len(wanted)] == wanted and (best is None or shared > best[0]):
                    best = (shared, passage, sentence[first].start, sentence[first + len(wanted) - 1].end)
    return best[1:] if best else None


def _bare(found: Sequence[Token]) -> list[str]:
    """The words and marks, without marks at the ends."""
    words = [place for place, token in enumerate(found) if token.is_word]
    return [token.low for token in found[words[0] : words[-1] + 1]] if words else []


def shape(answer: Answer, plan: FieldPlan, reading: Reading, prompt: Prompt) -> Answer:
    """The answer with its place in the text where it stands there, as it is spelt there; a control that marks passages
    has the place alone."""
    (text,) = answer.texts
    facts = dict(answer.provenance)
    if text == NOTHING:
        return answer.model_copy(update={"texts": (), "provenance": facts | {"no_answer": True}})
    span = _span(answer, plan, reading)
    if span is None:
        return answer
    facts["span"] = {"source": span.source, "start": span.start, "end": span.end}
    if plan.field.tag == "TextArea":
        return answer.model_copy(update={"texts": (span.text,), "provenance": facts})
    return answer.model_copy(update={"texts": (), "spans": (span,), "provenance": facts})


def quote(answer: Answer, plan: FieldPlan, reading: Reading, prompt: Prompt) -> Answer:
    """As ``shape``; but what does not stand in the text is dropped, which says that there is no answer."""
    shaped = shape(answer, plan, reading, prompt)
    if "span" in shaped.provenance or not shaped.texts:
        return shaped
    facts = {**shaped.provenance, "dropped": shaped.texts[0], "no_answer": True}
    return shaped.model_copy(update={"texts": (), "score": rounded(1 - answer.score), "provenance": facts})


def _span(answer: Answer, plan: FieldPlan, reading: Reading) -> Span | None:
    field = plan.field
    question = reading.query or field.question
    place = locate(answer.texts[0], question, reading.passages) if question.strip() else None
    if place is None:
        return None
    passage, start, end = place
    label = field.labels[0].path if field.labels else ()
    quoted = passage.text[start:end]
    return Span(
        field=field.name, source=passage.name, start=start, end=end, text=quoted, label=label, score=answer.score
    )


CRAFT = Craft(
    settle=settle,
    tell=tell,
    shows=shows,
    clean=clean,
    fault=fault,
    fallback=fallback,
    merge="best",
    nothing=NOTHING,
    shape=shape,
)
QUOTING = replace(CRAFT, fallback=lambda job, prompt: None, shape=quote)
"""The same for fields of the kind extraction."""
