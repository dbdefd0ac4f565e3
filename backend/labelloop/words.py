"""The words of the design as types: Label, Source, Field, Answer, FieldPlan, Bundle. Imports nothing of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Path = tuple[str, ...]


class Word(BaseModel):
    """A frozen value that travels as JSON and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Word):
    """One label of a field.

    ``path``: what Label Studio stores, outermost first; ``("Sport",)`` for a flat label. It is the label's identity.
    ``text``: what a person reads on the screen, and so what a model ranks; a path is joined by " > ".
    ``description``: the label's hint, or "".
    """

    path: Path
    text: str
    description: str = ""


class Source(Word):
    """One object tag that a field reads: its ``name``, what it is, and the key of the item's data behind its ``$``.

    ``name_key``, ``text_key``: of an utterance, where the data is a dialogue. ``value_type`` "url": the data holds the
    address of the text.
    """

    name: str
    tag: Literal["Text", "HyperText", "Paragraphs", "Chat"]
    key: str
    name_key: str = "author"
    text_key: str = "text"
    value_type: Literal["text", "url"] = "text"


class Condition(Word):
    """When a control is on the screen: only while (``selected``), or only unless, a choice is selected.

    ``control``: of which other control; "" for any Choices. ``labels``: stored names of which one must be selected;
    none for any label at all.
    """

    control: str = ""
    labels: tuple[str, ...] = ()
    selected: bool = True


class Field(Word):
    """One control tag that can be filled.

    ``kind``: the task kind, a module in ``tasks/``. ``to_name``: the object that the region names.
    ``question``: the words that stand with the control (its header, its title), or "".
    ``ordinal``: the labels are steps of a scale, lowest first (Rating, Number).
    ``nested``: Label Studio stores lists of steps, also for a label of one step (Taxonomy, Choices with allowNested).
    ``dynamic``: the data key under which each item brings labels of its own, after ``labels``; or "".
    ``conditions``: all must hold, else the control is hidden and has no answer.
    """

    name: str
    tag: str
    kind: str
    to_name: str
    labels: tuple[Label, ...]
    sources: tuple[Source, ...]
    multiple: bool = False
    ordinal: bool = False
    nested: bool = False
    question: str = ""
    dynamic: str = ""
    conditions: tuple[Condition, ...] = ()


def pose(text: str, labels: tuple[Label, ...]) -> str:
    """The rendered input of a dynamic field: the text and the item's labels in one string, equal for equal items."""
    told = [[list(label.path), label.text, label.description] for label in labels]
    return json.dumps({"text": text, "labels": told}, ensure_ascii=False, separators=(",", ":"))


def posed(rendered: str) -> tuple[str, tuple[Label, ...]]:
    """The text and the labels of ``pose``.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = json.loads(rendered)
        labels = tuple(Label(path=tuple(path), text=text, description=more) for path, text, more in found["labels"])
        return str(found["text"]), labels
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("the input of a dynamic field carries a text and labels") from error


def fields_of(fields: Sequence[Field], rendered: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields with the labels that they have for one item, whose rendered inputs these are by field name."""
    return tuple(
        field.model_copy(update={"labels": posed(rendered[field.name])[1]})
        if field.dynamic and field.name in rendered
        else field
        for field in fields
    )


class Answer(Word):
    """What a model says for one field of one item.

    ``labels``: the paths chosen, best first; empty is an answer too when ``multiple``.
    ``score``: the probability in [0, 1] that exactly this answer is right.
    ``alternatives``: (path, probability) of every label, best first, at most 10.
    ``reason``: set where there is no answer: why. Then ``labels`` is empty and ``score`` is 0.
    ``provenance``: small facts on how it came about ("windows": 3), for people who debug.
    """

    field: str
    labels: tuple[Path, ...]
    score: float
    alternatives: tuple[tuple[Path, float], ...] = ()
    reason: str | None = None
    provenance: dict[str, Any] = {}


class FieldPlan(Word):
    """How one field is served: everything that decides its answers.

    ``model``: "starter", a folder, or a Hugging Face id. ``revision``: what pins its weights.
    ``prompt``: "classification/v1". ``prompt_hash``: of that file's content.
    ``calibration``: the task kind's frozen constants (prior, temperature, ...), JSON values only.
    """

    field: Field
    engine: str
    model: str
    revision: str
    prompt: str
    prompt_hash: str
    adapter: str | None = None
    calibration: dict[str, Any] = {}


class Bundle(Word):
    """What serves a connection: one plan per field. Its ``digest`` is the hex behind the version's name."""

    plans: tuple[FieldPlan, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(plan.field for plan in self.plans)

    @property
    def digest(self) -> str:
        """64 hex characters; equal bundles have equal digests in every process, and in later releases."""
        content = self.model_dump(mode="json")
        for plan in content["plans"]:
            for younger in ("dynamic", "conditions"):  # than the first digests that were stored
                if not plan["field"][younger]:
                    del plan["field"][younger]
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def version_name(self, number: int) -> str:
        return f"v{number}-{self.digest[:8]}"
