"""Translation: a text in another language, sentence by sentence where the prompt says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field as Key
from pydantic import model_validator

from labelloop.tasks import replies
from labelloop.tasks.choosing import Candidate
from labelloop.tasks.glossary import Glossary, Hit, covered, hits, word_by_word
from labelloop.tasks.languages import Language, Languages, code_of, guess, named
from labelloop.tasks.sentences import tokens
from labelloop.tasks.writing import Craft, Unwritable
from labelloop.tasks.writing_prompt import Demonstration, Job, WritingPrompt
from labelloop.templating import Value

PROMPT = "translation/v1"
UNSURE = "unsure, and leaves out what the glossary has"
NO_LANGUAGE = "It is not known into which language: set the option target_language."
_LEAST_TERMS = 3  # of a text, before a reply is held against them
MOST_LONGER = 4.0
"""A reply with more characters than this many times its source is no translation (and 40, for short sources)."""


class Prompt(WritingPrompt):
    """A prompt file of the translation task. ``languages``: by code. ``parallel``: sentences in several of them, by
    code; those that have both languages of a task are shown before it. ``glossary``: words in several of them; at most
    ``hints`` of a text's own are told beside it, as "man = Mann, dog = Hund"; a reply whose mean
    log-probability is below ``sure``, and that has less than ``least_covered`` of them, is refused."""

    variables: ClassVar[frozenset[str]] = frozenset({"source_language", "target_language", "hints"})

    languages: dict[str, Language]
    glossary: Glossary
    hints: int = Key(0, ge=0)
    least_covered: float = Key(0, ge=0, le=1)
    parallel: tuple[dict[str, str], ...] = ()

    @model_validator(mode="after")
    def _languages_are_known(self) -> Self:
        if "en" not in self.languages:
            raise ValueError("languages must have en: into it goes what is not told where to")
        if unknown := {code for one in self.parallel for code in one} - set(self.languages):
            raise ValueError(f"parallel has languages that languages has not: {sorted(unknown)}")
        return self


def settle(job: Job, prompt: Prompt) -> Job:
    """The job with both languages as options: by its options; else by what the field is called and asks for ("German
    translation", "from French into Spanish"); else the source by what the text is in, and English where that is
    another.

    Raises:
        Unwritable: nothing says into which language.
    """
    known = prompt.languages
    source, target = (_name(job.option(option), known) for option in ("source_language", "target_language"))
    told = named(" ".join((job.option("instruction"), job.question, job.name.replace("_", " "))), known)
    if not source:
        code = told[0] if len(told) > 1 and not target else guess(job.text, known)
        source = known[code].names[0] if code else ""
    if not target:
        told = [code for code in told if known[code].names[0] != source]
        if not told and source in {"", known["en"].names[0]}:
            raise Unwritable(NO_LANGUAGE)
        target = known[told[-1] if told else "en"].names[0]
    options = {**dict(job.options), "source_language": source, "target_language": target}
    return job._replace(options=tuple(sorted(options.items())))


def _name(told: str, known: Languages) -> str:
    """What prompts call the language; what is not known, as it was told."""
    code = code_of(told, known) if told else ""
    return known[code].names[0] if code else told


def tell(job: Job, prompt: Prompt) -> Mapping[str, Value]:
    told = [f"{hit.here.lower()} = {hit.there}" for hit in _hits(job, prompt)]
    hints = ", ".join(list(dict.fromkeys(told))[: prompt.hints])
    return {"hints": hints, **{option: job.option(option) for option in ("source_language", "target_language")}}


def _hits(job: Job, prompt: Prompt) -> list[Hit]:
    codes = [code_of(job.option(option), prompt.languages) for option in ("source_language", "target_language")]
    return hits(job.text, prompt.glossary, *codes)


def shows(job: Job, prompt: Prompt) -> Sequence[Demonstration]:
    """The parallel sentences that have both languages."""
    names = {option: job.option(option) for option in ("source_language", "target_language")}
    source, target = (code_of(name, prompt.languages) for name in names.values())
    fitting = [one for one in prompt.parallel if {source, target} <= one.keys()]
    return [Demonstration(text=one[source], reply=one[target], options=names) for one in fitting]


def fault(text: str, job: Job, prompt: Prompt) -> str:
    """The source again, another language than the wished one, or far too much."""
    if replies.same(text, job.text) and len(tokens(text)) > 2:
        return replies.COPIES
    if len(text) > max(40, MOST_LONGER * len(job.text)):
        return "is far longer than the text"
    found, wished = guess(text, prompt.languages), code_of(job.option("target_language"), prompt.languages)
    if wished and found and found != wished:
        return f"is in another language ({prompt.languages[found].names[0]})"
    return ""


def doubt(candidate: Candidate, job: Job, prompt: Prompt) -> str:
    """A reply that the model is not sure of is held against the glossary; of a sure one, other words may be better."""
    known = _hits(job, prompt)
    if candidate.logprob >= prompt.sure or len(known) < _LEAST_TERMS:
        return ""
    return UNSURE if covered(candidate.text, known) < prompt.least_covered else ""


def without_model(job: Job, prompt: Prompt) -> tuple[str, str]:
    """For where the model cannot translate the source: the source word by word by the glossary, or else as it is, since
    names and numbers in it are right in many languages."""
    if known := _hits(job, prompt):
        return "word by word, by the glossary", word_by_word(job.text, known)
    return "copied", job.text


CRAFT = Craft(settle=settle, tell=tell, shows=shows, fault=fault, doubt=doubt, fallback=without_model, merge="join")
