"""Dialogue: what a speaker says next. Of a history that is too long, the last turns are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field as Key

from labelloop.tasks import replies
from labelloop.tasks.metrics import overlap_f1
from labelloop.tasks.turns import Turn, is_dialogue, next_speaker, one_turn, read
from labelloop.tasks.writing import Craft, job_of, replace_text
from labelloop.tasks.writing_prompt import Job, WritingPrompt
from labelloop.templating import Value
from labelloop.words import Answer, FieldPlan, Reading

PROMPT = "dialogue/v1"
SAYS_AGAIN = "says again what was said"


class Prompt(WritingPrompt):
    """A prompt file of the dialogue task.

    ``turns``: "Name: text" of each turn that is read. ``last``: the text of the last one. ``speaker``: who speaks next.
    ``context``: the text of objects that are no dialogue. ``same``: from which overlap of words (F1) on a reply only
    says again what was said.
    """

    variables: ClassVar[frozenset[str]] = frozenset({"turns", "last", "speaker", "context"})
    lists: ClassVar[frozenset[str]] = frozenset({"passages", "turns"})

    same: float = Key(0.75, gt=0, le=1)


def turns_of(job: Job) -> tuple[list[Turn], str]:
    """The turns, and the text of passages that are no dialogue, where another one is."""
    texts = [text for _, text in job.passages if text.strip()]
    dialogues = [text for text in texts if is_dialogue(text)] or texts
    context = "\n\n".join(text.strip() for text in texts if text not in dialogues)
    return [turn for text in dialogues for turn in read(text)], context


def speaks(job: Job, turns: list[Turn]) -> tuple[str, str]:
    words = " ".join((job.question, job.option("instruction")))
    return next_speaker(turns, job.option("speaker"), words)


def settle(job: Job, prompt: Prompt) -> Job:
    """The job with the next speaker as an option: by the whole dialogue, also where only its last turns are read."""
    turns, _ = turns_of(job)
    return _spoken(job, speaks(job, turns)[0])


def _spoken(job: Job, speaker: str) -> Job:
    return job._replace(options=tuple(sorted({**dict(job.options), "speaker": speaker}.items())))


def tell(job: Job, prompt: Prompt) -> Mapping[str, Value]:
    turns, context = turns_of(job)
    speaker, _ = speaks(job, turns)
    return {
        "turns": [f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text for turn in turns],
        "last": turns[-1].text if turns else "",
        "speaker": speaker,
        "context": context,
    }


def clean(text: str, job: Job, prompt: Prompt) -> str:
    turns, _ = turns_of(job)
    speaker, _ = speaks(job, turns)
    return replies.clean(one_turn(text, speaker, [turn.speaker for turn in turns]), prompt.lead_ins)


def fault(text: str, job: Job, prompt: Prompt) -> str:
    turns, _ = turns_of(job)
    if any(overlap_f1(text, [turn.text]) >= prompt.same for turn in turns):
        return SAYS_AGAIN
    return ""


def shape(answer: Answer, plan: FieldPlan, reading: Reading, prompt: Prompt) -> Answer:
    """The answer with who speaks, and why."""
    turns, _ = turns_of(job := job_of(plan.field, reading))
    speaker, why = speaks(job, turns)
    facts = {**answer.provenance, "speaker": speaker, "speaker_by": why, "turns": len(turns)}
    return answer.model_copy(update={"provenance": facts})


def bare(job: Job) -> Job:
    """The job before anything was said: what fits there, fits everywhere."""
    turns, _ = turns_of(job)
    said = f"{turns[-1].speaker}: ..." if turns and turns[-1].speaker else "..."
    return _spoken(replace_text(job, said), speaks(job, turns)[0])


CRAFT = Craft(settle=settle, tell=tell, clean=clean, fault=fault, merge="last", shape=shape, bare=bare)
