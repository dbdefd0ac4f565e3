"""Generation: whatever an instruction asks for, under controls (length, style, keywords, ...) whose fulfilment is
measured. Candidates are chosen by fulfilment first and by likelihood second; what helps and is honest is repaired."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field as Key
from pydantic import model_validator

from labelloop.engines import Manner
from labelloop.tasks import controls, formats, replies
from labelloop.tasks.controls import Controls, Range
from labelloop.tasks.languages import Language
from labelloop.tasks.metrics import normalise
from labelloop.tasks.styles import Style
from labelloop.tasks.writing import Craft, Unwritable, job_of
from labelloop.tasks.writing_prompt import Demonstration, Job, WritingPrompt
from labelloop.templating import Value, check, fill
from labelloop.words import Answer, FieldPlan, Reading

PROMPT = "generation/v1"
COPIES = "copies the instruction"
_WISHES = {
    "words": ("about", "between", "most", "least"),
    "sentences": ("about", "between", "most", "least"),
    "style": ("is",),
    "keywords": ("are",),
    "avoid": ("are",),
    "language": ("is",),
    "format": ("json", "list", "code"),
}
_SIGNATURE = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_]\w*)\((?P<arguments>[^()`\n]{0,200})\)")
_PER_WORD = 1.6  # tokens, of English; other languages take more, and are cut by their sentences
_LEAST_WORDS = 3  # words of the words beside a control that make them an instruction


class Prompt(WritingPrompt):
    """A prompt file of the generation task.

    ``task``: what is to be done, of the field. ``wishes``: a sentence for each control. ``opening``: how code begins.
    ``wordings``: those sentences, by control and by how it is wished; they know ``value``, ``low`` and ``high``.
    ``styles``, ``languages``: what a style or a language is told and known by. ``tries``: how many candidates more are
    written where the first does not do all that is wished.
    """

    variables: ClassVar[frozenset[str]] = frozenset({"task", "wishes", "opening"})
    lists: ClassVar[frozenset[str]] = frozenset({"passages", "wishes"})

    wordings: dict[str, dict[str, str]]
    styles: dict[str, Style]
    languages: dict[str, Language] = {}
    tries: int = Key(4, ge=0, le=16)

    @model_validator(mode="after")
    def _wordings_are_whole(self) -> Self:
        if {name: set(its) for name, its in self.wordings.items()} != {n: set(its) for n, its in _WISHES.items()}:
            raise ValueError(f"wordings must have these keys: { {name: list(its) for name, its in _WISHES.items()} }")
        for name, its in self.wordings.items():
            for wording in its.values():
                try:
                    check(wording, {"value", "low", "high"})
                except ValueError as error:
                    raise ValueError(f"wordings.{name}: {error}") from None
        return self


def wished(job: Job, prompt: Prompt) -> Controls:
    """Raises Unwritable where a control cannot be read."""
    try:
        return controls.parse(dict(job.options), prompt.styles)
    except ValueError as error:
        raise Unwritable(str(error)) from None


def tell(job: Job, prompt: Prompt) -> Mapping[str, Value]:
    its = wished(job, prompt)
    words = job.question.strip()
    task = job.option("instruction") or (words if len(words.split()) >= _LEAST_WORDS else "")
    said = f"{task}\n{job.query}\n{job.text}"
    return {
        "task": task,
        "wishes": [fill(prompt.wordings[name][how], values) for name, how, values in _wishes(its, prompt)],
        "opening": opening(said, its.format) if its.format.startswith("code:") else "",
    }


def _wishes(its: Controls, prompt: Prompt) -> list[tuple[str, str, dict[str, Value]]]:
    """(control, how it is wished, values of its wording), of each control that is told."""
    found: list[tuple[str, str, dict[str, Value]]] = []
    for name, limits in (("words", its.words), ("sentences", its.sentences)):
        if limits:
            found.append((name, limits.wish, _ends(limits)))
    found += [("style", "is", {"value": prompt.styles[one].told}) for one in its.style]
    for name, listed in (("keywords", its.keywords), ("avoid", its.avoid)):
        if listed:
            found.append((name, "are", {"value": ", ".join(f'"{one}"' for one in listed)}))
    if its.language:
        found.append(("language", "is", {"value": its.language.title()}))
    if its.format:
        kind, _, language = its.format.partition(":")
        found.append(("format", kind, {"value": language.title()}))
    return found


def _ends(limits: Range) -> dict[str, Value]:
    return {"value": limits.value, "low": str(limits.low), "high": str(limits.high or "")}


def opening(instruction: str, wanted: str) -> str:
    """How a reply of code begins: its fence, and the head of the function that the instruction names, up to the bracket
    that models read as one token with the colon behind it.

    >>> opening("Write `add(a, b)`, the sum.", "code:python")
    '```python\\ndef add(a, b'
    """
    fence = f"```{wanted.removeprefix('code:')}"
    if wanted == formats.PYTHON:
        for match in _SIGNATURE.finditer(instruction):
            head = f"def {match['name']}({match['arguments'].strip()})"
            try:
                ast.parse(f"{head}: pass")
            except (SyntaxError, ValueError):
                continue
            return f"{fence}\n{head[:-1]}"
    return fence


def manner(job: Job, prompt: Prompt, usual: Manner) -> Manner:
    """As long as the words that are wished need; first one candidate, unless several texts are wished."""
    its = wished(job, prompt)
    most = usual.max_tokens
    if its.words and its.words.high is not None and not its.format:
        most = min(most, -(-int(_PER_WORD * its.words.high + 24) // 16) * 16)
    if its.words and its.words.low * _PER_WORD > most:
        most = -(-int(_PER_WORD * its.words.low + 24) // 16) * 16
    return usual._replace(
        max_tokens=most,
        stop=(*usual.stop, "\n```") if its.format.startswith("code:") else usual.stop,
        schema='{"type":"object"}' if its.format == "json" else "",
        samples=max(usual.samples, its.samples + prompt.tries) if its.samples > 1 else usual.samples,
    )


def clean(text: str, job: Job, prompt: Prompt) -> str:
    its = wished(job, prompt)
    if its.format:
        return text.strip()
    return replies.clean(text, prompt.lead_ins)


def repair(text: str, job: Job, prompt: Prompt) -> tuple[str, tuple[str, ...]]:
    """The text repaired, where that does not make it worse."""
    fixed, done = controls.repair(text, wished(job, prompt))
    if not done or worth(fixed, job, prompt) < worth(text, job, prompt):
        return text, ()
    return fixed, done


def fault(text: str, job: Job, prompt: Prompt) -> str:
    asked = (job.option("instruction"), job.query, job.text)
    return COPIES if normalise(text) in {normalise(one) for one in asked} else ""


def worth(text: str, job: Job, prompt: Prompt) -> float:
    """The mean fulfilment of the controls, in [0, 1]; 1 without controls."""
    found = controls.fulfilment(text, wished(job, prompt), prompt.styles, prompt.languages)
    return sum(found.values()) / len(found) if found else 1.0


def again(best: str, job: Job, prompt: Prompt) -> Sequence[tuple[str | None, int]]:
    """Further candidates of the same ask; and where keywords are missing, the best text gone on with from them, and a
    text that begins with all of them: so they occur for sure, in words that the model then makes fit."""
    its = wished(job, prompt)
    found: list[tuple[str | None, int]] = [(None, prompt.tries)] if prompt.tries else []
    if its.format or not its.keywords:
        return found
    if lacks := controls.missing(best, its):
        if best:
            shorter, _ = controls.repair(best, _one_less(its, best))
            found += [(f"{text} {controls.listed(lacks)}", 1) for text in dict.fromkeys((best, shorter))]
        found.append((controls.listed(its.keywords), 1))
    return found


def _one_less(its: Controls, text: str) -> Controls:
    """Controls by which a sentence less of the text stays, so that another has room."""
    count = max(1, controls.count_sentences(text) - 1)
    return Controls(sentences=Range(1, count, "most", str(count)))


def shows(job: Job, prompt: Prompt) -> list[Demonstration]:
    """Those that share most controls with the job come first."""
    suiting = [one for one in prompt.demonstrations if _suits(one, job)]
    return sorted(suiting, key=lambda one: -len(_named(one.options)))


def _suits(demonstration: Demonstration, job: Job) -> bool:
    """One with controls is shown for jobs that have these among their own, one without for those without any; questions
    for questions, what has a text to work on for what has."""
    own, shown = (_named(options) for options in (dict(job.options), demonstration.options))
    if shown != own and not (shown and shown < own):
        return False
    return _is_question(demonstration.job) == _is_question(job)


def _named(options: Mapping[str, str]) -> set[str]:
    """The controls; of style and format with their values."""
    found = {name for name in controls.NAMES if options.get(name, "").strip() and name != "samples"}
    valued = found & {"style", "format"}
    return found - valued | {f"{name} {options[name].strip().lower()}" for name in valued}


def _is_question(job: Job) -> bool:
    return (job.option("instruction") or job.query.strip() or job.text).endswith(("?", "？"))


def shape(answer: Answer, plan: FieldPlan, reading: Reading, prompt: Prompt) -> Answer:
    """The answer with the fulfilment of each control, by its first text."""
    its = wished(job_of(plan.field, reading), prompt)
    found = controls.fulfilment(answer.texts[0], its, prompt.styles, prompt.languages)
    facts: dict[str, Any] = {**answer.provenance, **({"fulfilment": found} if found else {})}
    if unmeasured := sorted(name for name in ("language", "format") if getattr(its, name) and name not in found):
        facts["not_measured"] = unmeasured
    return answer.model_copy(update={"provenance": facts})


def count(job: Job, prompt: Prompt) -> int:
    return wished(job, prompt).samples


CRAFT = Craft(
    tell=tell,
    shows=shows,
    manner=manner,
    clean=clean,
    repair=repair,
    fault=fault,
    worth=worth,
    again=again,
    shape=shape,
    count=count,
)
