"""A <TextArea> as a Field: the answer quoted or written, a translation, a summary, a reply, whatever is asked for.

What its direction says goes first; then its name, then the words beside it, then the objects that it reads. A box that
nothing tells the purpose of stays with people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labelloop.settings import Direction
from labelloop.studio import datapath, languages, purposes
from labelloop.studio.config_xml import attr, tag, value
from labelloop.studio.controls import TEXTS
from labelloop.studio.labels import Skip
from labelloop.studio.purposes import Told
from labelloop.studio.questions import is_question, names_of, takes_answer, word_set, words_of
from labelloop.studio.sources import Config, fixed, heading_of, question_of, source_of, sources_of
from labelloop.words import Condition, Field, Source

MOST_SAMPLES = 10
_DIALOGUE = word_set(
    "dialogue dialogues dialog dialogs conversation conversations chat chats history messages thread turns utterances "
    "transcript transcripts gespräch verlauf conversación discusión"
)
_INSTRUCTION = word_set("prompt prompts instruction instructions request command directive anweisung")
_PROGRAM = _INSTRUCTION | word_set("problem description docstring requirement requirements question task")
_MESSAGE = word_set("email mail message ticket inquiry enquiry complaint tweet post customer nachricht")
_THERE = purposes.REPLY | purposes.SUMMARY | purposes.TRANSLATION | {"mt", "hypothesis", "candidate", "prediction"}
_FREELY = word_set("abstractive freeform generated generative")
_FORM = word_set("name email phone company author date address position job amount price isbn")
_LENGTH = re.compile(r"\b(\d{1,4}|one|a single|two|three|four|five)\s+(words?|sentences?)\b", re.IGNORECASE)
_NUMBERS = {"one": "1", "a single": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
_LINE = "12"  # words of a headline


@dataclass(frozen=True)
class Box:
    """A TextArea with all that is said of it. ``beside``: (where, words) of its title, header and placeholder."""

    node: Any
    name: str
    config: Config
    direction: Direction
    conditions: tuple[Condition, ...]

    @property
    def beside(self) -> list[tuple[str, str]]:
        said = [(where, fixed(attr(self.node, where))) for where in ("title", "header", "question")]
        said += [("header", heading_of(self.node)), ("placeholder", fixed(attr(self.node, "placeholder")))]
        return [(where, words) for where, words in said if words]

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of its toName."""
        return tuple(name for part in attr(self.node, "toName").split(",") if (name := part.strip()))

    def texts(self) -> dict[str, Any]:
        """The config's objects that hold a text of the task."""
        found = self.config.objects.items()
        return {name: one for name, one in found if tag(one) in TEXTS and datapath.key_of(value(one))}

    def sources(self, names: Sequence[str]) -> tuple[Source, ...]:
        return tuple(source_of(self.config.objects[name], name) for name in dict.fromkeys(names))


def box_field(box: Box) -> tuple[Field, str]:
    """The field of a TextArea, and why it is that.

    Raises:
        Skip: it is left to people; ``correction`` is the direction that would have it filled.
    """
    if box.direction.task == "people":
        raise Skip("its direction leaves it to people")
    if not box.shown:
        raise Skip("it has no toName: Label Studio takes no predictions for it")
    if box.direction.task:
        return _directed(box)
    sources_of(box.node, box.config)  # it must show what can be read
    told, why = _told(box)
    return _field_for(box, told, why)


def _told(box: Box) -> tuple[Told | None, str]:
    """What its name and the words beside it say, and where.

    Raises:
        Skip: they say that it is for people's remarks.
    """
    own = purposes.by_name(box.name)
    beside = [(where, found) for where, words in box.beside if (found := purposes.by_sentence(words))]
    said = [("name", own)] * (own is not None) + beside
    for where, found in said:
        if found is not None and found.purpose == "people":
            raise _left(box, f'its {where} says "{found.word}", which people write themselves')
    for where, found in sorted(said, key=lambda one: not (one[1] and one[1].surely)):
        if found is not None:
            return found, f'its {where} says "{found.word}"'
    return None, ""


def _field_for(box: Box, told: Told | None, why: str) -> tuple[Field, str]:
    """By what is told, else by the objects. Raises Skip where nothing tells enough."""
    if (told is None or told.purpose == "reply" or not told.surely) and (quoted := _quoted(box)):
        return quoted
    if told is None:
        if order := _order(box):
            return _generation(box, order, "its header or placeholder orders a text")
        raise _left(box, "it has no name, header or placeholder that says what it is for")
    if told.purpose == "reply":
        return _reply(box, told, why)
    _holds_none_yet(box, told)
    if told.purpose == "summarisation":
        if not told.surely and any(set(words_of(name)) & _FORM for name in box.config.controls):
            raise _left(box, f'{why}, beside boxes of a form; "{told.word}" may mean something else there')
        short = {"words": _LINE} if told.short else {}
        return _build(box, "summarisation", box.shown, (), why, {**short, **_length(box)})
    if told.purpose == "translation":
        return _translation(box, told.surely, why)
    return _doubted(box, told, why)


def _holds_none_yet(box: Box, told: Told) -> None:
    words = {"summarisation": purposes.SUMMARY | purposes.SHORT, "translation": purposes.TRANSLATION}
    there = words.get(told.purpose, frozenset()) | ({"mt", "hypothesis"} if told.purpose == "translation" else set())
    for name in box.shown:
        if names_of(box.config.objects[name]) & there:
            raise _left(box, f'it is about "{name}", which holds a {told.purpose} already')


def _doubted(box: Box, told: Told, why: str) -> tuple[Field, str]:
    """Free generation, where nothing else could be meant: an annotator explains and corrects labels, too."""
    if not told.surely:
        shown = frozenset().union(*(names_of(box.config.objects[name]) for name in box.shown))
        words = set(words_of(box.name)) | {word for _, words in box.beside for word in words_of(words)}
        programs = told.word in {"code", "sql", "program", "generation", "generated"}
        others = [one for one in box.config.controls.values() if tag(one) != "textarea"]
        if programs and not shown & _PROGRAM and not _order(box):
            raise _left(box, f"{why}, and nothing that it reads says which")
        if not programs and (others or {"your", "you", "choice", "label", "answer"} & words):
            raise _left(box, f"{why}, which may be what people say of their own answers")
    return _generation(box, _order(box) or told.instruction, why, told.sampled)


def _quoted(box: Box) -> tuple[Field, str] | None:
    """The answer to the config's question: quoted from the context, or written where it shall be in other words."""
    asked = box.config.asked
    if asked is None or not set(box.shown) & {asked.question, *asked.contexts}:
        return None
    if not takes_answer(box.node, question_of(box.node)):
        return None
    if box.config.uses[asked.question] > 1:
        raise Skip(f'{box.config.uses[asked.question]} tags are called "{asked.question}", which it answers')
    contexts = [name for name in box.shown if name in asked.contexts] or list(asked.contexts)
    why = f'it stands beside the question in "{asked.question}", which "{", ".join(contexts)}" answers'
    words = [word for _, said in box.beside for word in words_of(said)] + list(words_of(box.name))
    free = bool(_FREELY & set(words)) or ("own", "words") in pairwise(words)
    if free:
        return _build(box, "question_answering", contexts, (asked.question,), f"{why}, in words of its own", {})
    return _build(box, "extraction", contexts, (asked.question,), why, {})


def _reply(box: Box, told: Told, why: str) -> tuple[Field, str]:
    """An answer, a response, an output: what it replies to decides the kind."""
    texts = box.texts()
    there = [name for name, one in texts.items() if names_of(one) & (_THERE - {"message", "next"}) - _DIALOGUE]
    if there := [name for name in there if not _talks(texts[name])]:
        raise _left(box, f'{why}, and "{there[0]}" holds one already')
    talks = [name for name in box.shown if name in texts and _talks(texts[name])]
    if talks:
        return _build(box, "dialogue", box.shown, (), f'{why}, and it reads the dialogue "{talks[0]}"', {})
    questions = [name for name, one in texts.items() if is_question(one)]
    if len(set(questions) & set(box.shown) or questions) == 1 and set(questions) & set(box.shown):
        asked = next(name for name in box.shown if name in questions)
        return _build(box, "question_answering", (asked,), (), f'{why}, and it reads the question "{asked}"', {})
    requests = [name for name, one in texts.items() if names_of(one) & _INSTRUCTION]
    if requests:
        return _generation(box, "", f'{why}, and "{requests[0]}" says what is to be written')
    if set(words_of(told.word)) & {"reply", "response", "respond", "antwort"} and any(
        names_of(texts[name]) & _MESSAGE for name in box.shown if name in texts
    ):
        return _build(box, "dialogue", box.shown, (), f"{why}, and it reads a message", {})
    for _, words in box.beside:
        if words.rstrip().endswith("?") and not {"you", "your", "we"} & set(words_of(words)):
            return _build(box, "question_answering", box.shown, (), f'{why}, and its header asks "{words}"', {})
    if order := _order(box):
        return _generation(box, order, "its header or placeholder orders a text")
    raise _left(box, f"{why}, and nothing that it reads is a question, a dialogue or an instruction")


def _talks(node: Any) -> bool:
    return tag(node) in {"paragraphs", "chat"} or bool(names_of(node) & _DIALOGUE)


def _translation(box: Box, surely: bool, why: str) -> tuple[Field, str]:
    source, target = _languages(box)
    names = frozenset().union(*(names_of(box.config.objects[name]) for name in box.shown))
    if not surely and not source and not names & {"source", "src", "original"}:
        raise _left(box, f"{why}, and nothing says that it reads another language")
    if not target:
        raise Skip(f"{why}, and nothing says into which language", {"options": {"target_language": "German"}})
    return _build(box, "translation", box.shown, (), f"{why}, into {target}", {})


def _generation(
    box: Box, instruction: str, why: str, sampled: bool = False, shown: Sequence[str] = ()
) -> tuple[Field, str]:
    """What an instruction object says is done with the other texts that it reads, else the instruction itself."""
    texts = box.texts()
    given = [name for name in shown or texts if name in texts]
    requests = [name for name in given if names_of(texts[name]) & _INSTRUCTION]
    read = [name for name in shown or box.shown if name not in requests]
    if not read and not shown:
        read = [name for name in texts if name not in requests]
    told = {"instruction": instruction} if instruction else {}
    most = attr(box.node, "maxSubmissions")
    if sampled and most.isascii() and most.isdigit() and int(most) > 1:
        told["samples"] = str(min(int(most), MOST_SAMPLES))
    if not read:
        return _build(box, "generation", requests, (), why, told)
    return _build(box, "generation", read, requests, why, told)


def _directed(box: Box) -> tuple[Field, str]:
    """As its direction says, with the inputs that it names or, where it names none, those that the kind needs."""
    direction, objects = box.direction, box.config.objects
    why = f"its direction says {direction.task}"
    for name in direction.inputs or box.shown:
        if name not in objects:
            known = ", ".join(objects) or "none"
            raise Skip(f'its direction reads "{name}", and no object has this name (there are: {known})')
        if box.config.uses[name] > 1:
            raise Skip(f'{box.config.uses[name]} tags are called "{name}", which it reads')
    inputs = list(direction.inputs or box.shown)
    if direction.task == "generation":
        return _generation(box, "", why, sampled=True, shown=direction.inputs)
    if direction.task in {"extraction", "question_answering"}:
        return _answering(box, inputs, why)
    told = bool(direction.instruction or direction.prompt)
    if direction.task == "translation" and not told and not _languages(box)[1]:
        raise Skip(f"{why}, and nothing says into which language", {"options": {"target_language": "German"}})
    length = _length(box) if direction.task == "summarisation" else {}
    return _build(box, direction.task, inputs, (), why, length)


def _answering(box: Box, inputs: list[str], why: str) -> tuple[Field, str]:
    """An answer by direction: to the question among its inputs, else to the config's, else to its own header."""
    texts, asked = box.texts(), box.config.asked
    questions = [name for name in inputs if name in texts and is_question(texts[name])]
    contexts = [name for name in inputs if name not in questions]
    if not box.direction.inputs and asked is not None:
        questions = questions or [asked.question]
        contexts = contexts or list(asked.contexts)
    if not contexts and box.direction.task == "question_answering":
        contexts, questions = questions, []
    if box.direction.task == "extraction" and (not contexts or not (questions or box.beside)):
        raise Skip(f"{why}, and there is no question, or no text that could answer it: name both as its inputs")
    return _build(box, box.direction.task, contexts, questions, why, {})


def _order(box: Box) -> str:
    """The words beside it that order a text of their own kind, or ""."""
    return next((words for _, words in box.beside if purposes.asks_for_text(words)), "")


def _instruction(box: Box) -> str:
    """What is to be written, as its header says, or a text that is the same for every task."""
    told = [words for _, words in box.beside]
    told += [fixed(value(one)) for one in box.config.objects.values() if tag(one) in TEXTS]
    return next((words for words in told if purposes.is_instruction(words)), "")


def _length(box: Box) -> dict[str, str]:
    """A length that the words beside it name: in 30 words, in one sentence."""
    for _, words in box.beside:
        if found := _LENGTH.search(words):
            number = found[1].lower()
            unit = "words" if found[2].lower().startswith("word") else "sentences"
            return {unit: _NUMBERS.get(number, number)}
    return {}


def _languages(box: Box) -> tuple[str, str]:
    """(language of what it reads, language to write), each "" where nothing says it."""
    objects = [box.config.objects[name] for name in box.shown if name in box.config.objects]
    told = [languages.pair(languages.in_name(box.name))]
    told += [languages.pair(languages.in_text(words)) for _, words in box.beside]
    theirs = {heading_of(one) for name, one in box.config.controls.items() if name != box.name}
    headers = [fixed(value(one)) for one in box.node.getroottree().iter() if tag(one) == "header"]
    headers = [one for one in headers if one not in theirs]
    told += [languages.pair(languages.in_text(one)) for one in headers if purposes.by_sentence(one)]
    own = [languages.in_attributes(one) for one in objects]
    own += [language for one in objects for language in _spoken(one)]
    source = next((language for language in (*own, *(one for one, _ in told)) if language), "")
    target = box.direction.options.get("target_language", "") or languages.in_attributes(box.node)
    target = target or next((language for _, language in told if language and language != source), "")
    if not target and source not in {"", "English"}:
        target = "English"  # what a foreign text is put into, where nothing says otherwise
    return ("" if source == target else source), target


def _spoken(node: Any) -> list[str]:
    """The languages in an object's name, its key, and the header right above it."""
    named = [*languages.in_name(attr(node, "name")), *languages.in_name(datapath.key_of(value(node)))]
    above = next(node.itersiblings(preceding=True), None)
    if above is not None and tag(above) == "header" and not purposes.by_sentence(fixed(value(above))):
        named += languages.in_text(fixed(value(above)))
    return [one.language for one in named if one.way != "into"]


def _build(
    box: Box, kind: str, sources: Sequence[str], query: Sequence[str], why: str, options: Mapping[str, str]
) -> tuple[Field, str]:
    """The field, with its options: those that were read off the config, and over them those of its direction."""
    if box.direction.inputs and not box.direction.task:
        for name in box.direction.inputs:
            if name not in box.config.objects:
                raise Skip(f'its direction reads "{name}", and no object has this name')
        query = [name for name in query if name not in box.direction.inputs]
        sources = box.direction.inputs
    told: dict[str, str] = {}
    if kind != "extraction":
        told = {**options, "instruction": _instruction(box) or options.get("instruction", "")}
        if kind == "translation":
            told["source_language"], told["target_language"] = _languages(box)
        told |= box.direction.options | {"instruction": box.direction.instruction or told["instruction"]}
        if "target_language" in told:
            told["target_language"] = languages.named(told["target_language"])
    field = Field(
        name=box.name,
        tag="TextArea",
        kind=kind,
        to_name=box.shown[0],
        labels=(),
        sources=box.sources(sources),
        question=question_of(box.node) if kind == "extraction" else next((words for _, words in box.beside), ""),
        conditions=box.conditions,
        query=box.sources(query),
        options=tuple(sorted((name, text) for name, text in told.items() if text)),
    )
    return field, why


def _left(box: Box, reason: str) -> Skip:
    """It stays with people; suggests the task that the objects would fit best."""
    texts = box.texts()
    shown = [texts[name] for name in box.shown if name in texts]
    if any(is_question(one) for one in texts.values()):
        task = "question_answering"
    elif any(_talks(one) for one in shown):
        task = "dialogue"
    else:
        task = "generation" if any(names_of(one) & _INSTRUCTION for one in shown) else "summarisation"
    return Skip(reason, {"task": task})
