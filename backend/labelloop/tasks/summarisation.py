"""Summarisation: a text in fewer words. Long texts by windows, whose summaries are summarised again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field as Key

from labelloop.tasks import extracts, replies
from labelloop.tasks.controls import read_range
from labelloop.tasks.sentences import sentences, tokens
from labelloop.tasks.writing import Craft, Unwritable
from labelloop.tasks.writing_prompt import Job, WritingPrompt
from labelloop.templating import Value

PROMPT = "summarisation/v1"
LONGER = "is no shorter than the text"


class Prompt(WritingPrompt):
    """A prompt file of the summarisation task. ``words``, ``sentences``: the wished length, a number or "".

    ``extracts``: made of the text's own sentences, they stand among the candidates: its "lead", or what is "central" in
    it, of at most ``extract_words`` words where no length is wished; the first serves where no reply is of use.
    """

    variables: ClassVar[frozenset[str]] = frozenset({"words", "sentences"})

    extracts: tuple[Literal["lead", "central"], ...] = ()
    extract_words: int = Key(30, ge=1)


def tell(job: Job, prompt: Prompt) -> Mapping[str, Value]:
    return {name: str(number(job, name) or "") for name in ("words", "sentences")}


def number(job: Job, name: str) -> int:
    """How many ``name`` a summary has at most, or about where that is wished; 0: nothing is wished.

    Raises:
        Unwritable: the option is no number and no range of numbers.
    """
    try:
        wished = read_range(name, job.option(name), about=False)
    except ValueError as error:
        raise Unwritable(str(error)) from None
    return (wished.high or wished.low) if wished else 0


def clean(text: str, job: Job, prompt: Prompt) -> str:
    """The reply, cut after as many whole sentences as are wished for: ``sentences``, or as fit into ``words``."""
    text = replies.clean(text, prompt.lead_ins)
    most, words = number(job, "sentences"), number(job, "words")
    end, seen = 0, 0
    for place, sentence in enumerate(sentences(text)):
        seen += sum(token.is_word for token in sentence)
        if place and ((most and place >= most) or (words and seen > words)):
            return text[:end].strip()
        end = sentence[-1].end
    return text


def fault(text: str, job: Job, prompt: Prompt) -> str:
    if replies.same(text, job.text):
        return replies.COPIES
    if replies.invents(text, job.text):
        return replies.INVENTS
    return LONGER if len(tokens(text)) > max(12, len(tokens(job.text))) else ""


def extracted(job: Job, prompt: Prompt) -> list[tuple[str, str]]:
    """(origin, text) of the extracts that the prompt asks for, in its order."""
    parts, words = extracts.pieces(job.text), number(job, "words") or prompt.extract_words
    made = [(f"extracted ({how})", _EXTRACTS[how](parts, words)) for how in prompt.extracts]
    return [(origin, clean(text, job, prompt)) for origin, text in made if text]


def fallback(job: Job, prompt: Prompt) -> tuple[str, str] | None:
    return next(iter(extracted(job, prompt)), None)


_EXTRACTS = {"lead": extracts.lead, "central": extracts.central}
CRAFT = Craft(tell=tell, clean=clean, fault=fault, beside=extracted, fallback=fallback, merge="again")
