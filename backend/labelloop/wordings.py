"""Other words for labels: a prompt that tells some labels by given phrases, and the others as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labelloop.errors import RequestError
from labelloop.prompting import Prompt, render
from labelloop.tasks.verbalizers import key, verbalize
from labelloop.words import Field

Words = Mapping[str, Sequence[str]]
_ENDS = (".", "?", "!", "。", "।")


def read_words(given: str) -> dict[str, Words]:
    """Name -> words, from "FILE" (name -> {label: [phrases]}) or "NAME=FILE" ({label: [phrases]}).

    Raises:
        RequestError: it cannot be read, or is of another form.
    """
    name, equals, file = given.partition("=")
    path = Path(file if equals else given).expanduser()
    try:
        # BaseLoader: labels such as yes, no and 1 stay the text that they are
        read = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path} cannot be read: {error}.", "It must be YAML.") from None
    found = {name: read} if equals else read
    form = "{label: [phrase, phrase]}" if equals else "{name: {label: [phrase, phrase]}}"
    if not isinstance(found, dict) or not found:
        raise RequestError(f"{path} holds no words.", f"It must be {form}.")
    return {str(one): _words(its, f"{path}, {one}", form) for one, its in found.items()}


def _words(found: Any, where: str, form: str) -> Words:
    if not isinstance(found, dict) or not found:
        raise RequestError(f"{where}: there are no labels.", f"It must be {form}.")
    words = {label: [its] if isinstance(its, str) else its for label, its in found.items()}
    for label, its in words.items():
        if not isinstance(its, list) or not its or not all(isinstance(one, str) and one.strip() for one in its):
            raise RequestError(f"{where}, {label}: a list of phrases is needed.", f"It must be {form}.")
    return words


def with_words(content: bytes, prompt: Prompt, field: Field, words: Words, name: str) -> bytes:
    """A prompt file as ``content``, in which a group of its own tells the field's labels.

    A label in ``words`` is told by its phrases, each put into the prompt's templates as the label's name would be (one
    that ends like a sentence stands as it is); every other label by the texts that the prompt has for it now.

    Raises:
        RequestError: a label is none of the field's, or cannot be told by itself.
    """
    told = _matched(field, words)
    usual = verbalize(field, prompt)
    texts = [
        _framed(told[index], prompt) if index in told else list(usual.texts[index])
        for index in range(len(field.labels))
    ]
    file = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if field.ordinal:
        file["scales"] = [{"steps": texts}]
    else:
        names = [label.text.split(" > ")[-1] if len(label.path) > 1 else label.text for label in field.labels]
        twice = [one for one, count in Counter(map(key, names)).items() if count > 1]
        if wrong := [names[index] for index in told if key(names[index]) in twice or not key(names[index])]:
            raise RequestError(
                f"Words cannot be given to {', '.join(map(repr, wrong))}: another label of the field is spelled so.",
                "Give hints in the label config instead.",
            )
        left = usual.residual - told.keys()  # a label for "none of these" is told by no text
        labels = {  # spellings are split by "|" and compared by their words, so a name's words serve as its spelling
            key(one): texts[index]
            for index, one in enumerate(names)
            if index not in left and key(one) and key(one) not in twice
        }
        group = {"share": 0.01, "fewest": 1, "templates": ["{label}"], "labels": labels}
        file["groups"] = {f"words of {name}": group, **file.get("groups", {})}
    made = yaml.safe_dump(file, allow_unicode=True, sort_keys=False, width=120)
    return f"# {prompt.name} with the label words '{name}' for the field {field.name}.\n{made}".encode()


def _framed(phrases: Sequence[str], prompt: Prompt) -> list[str]:
    values = {"description": "", "question": ""}
    return list(
        dict.fromkeys(
            text
            for one in phrases
            for text in (
                [one] if one.endswith(_ENDS) else [render(form, values | {"label": one}) for form in prompt.templates]
            )
        )
    )


def _matched(field: Field, words: Words) -> dict[int, Sequence[str]]:
    """Index of the label -> its phrases."""
    names: dict[str, int] = {}
    for form in (lambda label: label.path[-1], lambda label: " > ".join(label.path), lambda label: label.text):
        for index, label in enumerate(field.labels):
            names.setdefault(_plain(form(label)), index)
    if unknown := [one for one in words if _plain(one) not in names]:
        shown = ", ".join(label.text for label in field.labels[:20])
        raise RequestError(
            f"{', '.join(map(repr, unknown))} is no label of '{field.name}'.", f"Its labels are: {shown}."
        )
    return {names[_plain(label)]: phrases for label, phrases in words.items()}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
