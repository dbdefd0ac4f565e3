"""The words of the design as types: Label, Source, Field, Span, Answer, Example, FieldPlan, Bundle. Imports nothing of
ours."""

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
    address of the text. ``inline``: its markup stands in the editor's own page, not in a frame of its own.
    """

    name: str
    tag: Literal["Text", "HyperText", "Paragraphs", "Chat", "List"]
    key: str
    name_key: str = "author"
    text_key: str = "text"
    value_type: Literal["text", "url"] = "text"
    inline: bool = False


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
    ``query``: objects that hold the question, the request or the search words that the answer is about, beside those
    that it is found in (``sources``).
    ``regions_of``: names of the span fields whose regions this one relates to each other, or describes one by one.
    ``region_labels``: of these regions, only those with one of these stored labels; none: all.
    ``rest``: the bucket that takes the entries which are in no other (Ranker); "" where these stay in the list.
    ``options``: (name, value) of what a writer is told beside the text, sorted: "instruction", "target_language",
    "words", "style", "keywords", ...; ``tasks.writing`` says which each kind knows.
    ``question``: the words that stand with the control (its header, its title), or "".
    ``ordinal``: the labels are steps of a scale, lowest first (Rating, Number).
    ``nested``: Label Studio stores lists of steps, also for a label of one step (Taxonomy, Choices with allowNested).
    ``dynamic``: the data key under which each item brings labels of its own, after ``labels``; or "".
    ``conditions``: all must hold, else the control is hidden and has no answer.
    ``formerly``: (as it was stored, label of today) of labels that had another name, sorted.
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
    query: tuple[Source, ...] = ()
    regions_of: tuple[str, ...] = ()
    region_labels: tuple[str, ...] = ()
    rest: str = ""
    options: tuple[tuple[str, str], ...] = ()
    formerly: tuple[tuple[Path, Path], ...] = ()

    def today(self, path: Path) -> Path:
        """The label that ``path`` means by now; the path itself where it was not renamed."""
        return dict(self.formerly).get(path, path)

    @property
    def columns(self) -> dict[Path, int]:
        """The place of each label, counted from 0: its column in arrays of (n, n_labels)."""
        return {label.path: place for place, label in enumerate(self.labels)}

    @property
    def structured(self) -> bool:
        """Whether its rendered input is a ``Reading`` rather than one text."""
        return self.kind in STRUCTURED


class Span(Word):
    """A passage of one object of an item, with a label.

    ``field``: the control that marks it. ``source``: the object's name. ``start``, ``end``: characters (Python string
    indices, so code points) of the object's plain text as the ``Reading`` has it, end exclusive. ``text``: what stands
    there. ``score``: the probability in [0, 1] that offsets and label are right. ``id``: of a region that is there
    already; "" for a new one.
    """

    field: str
    source: str
    start: int
    end: int
    text: str
    label: Path
    score: float = 1.0
    id: str = ""


class Link(Word):
    """A relation between two spans. ``label``: "" where the config names no relations. ``direction``: "right" from head
    to tail, "left" from tail to head, "bi" both. ``score``: the probability that all of it is right."""

    head: Span
    tail: Span
    label: str = ""
    direction: Literal["right", "left", "bi"] = "right"
    score: float = 1.0


class Remark(Word):
    """What a control of single regions (perRegion) says of one: ``labels``, or the ``texts`` of a TextArea."""

    span: Span
    labels: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()
    score: float = 1.0


class Passage(Word):
    """The plain text of one object of an item, or of one entry of a List; ``name``: the object's, or the entry's id.

    ``unmarked``: (start, end) of characters that people read but cannot mark, as the speakers' names in a dialogue.
    """

    name: str
    text: str
    unmarked: tuple[tuple[int, int], ...] = ()


class Reading(Word):
    """What a model reads of an item for a field that needs more than one text.

    ``passages``: of the field's sources, in their order; of a List its entries. ``query``: the text of ``Field.query``.
    ``given``: regions that are there already (marked by a person, or named by the caller); where there are some, they
    are related and described, and no others are looked for. ``queries``: (field, text) of each of ``Field.regions_of``
    that has a query, so that its regions can be found from this reading alone; none where it cannot be read.
    """

    passages: tuple[Passage, ...]
    query: str = ""
    given: tuple[Span, ...] = ()
    queries: tuple[tuple[str, str], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to read."""
        return not any(passage.text.strip() for passage in self.passages)

    def dump(self) -> str:
        """The rendered input: one string, equal for equal items."""
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":"))


WRITTEN = frozenset({"question_answering", "translation", "summarisation", "dialogue", "generation"})
"""Task kinds that fill a TextArea with words of their own: an engine writes them."""

STRUCTURED = frozenset({"entities", "relations", "extraction", "comparison", "ranking", "remarks"}) | WRITTEN
"""Task kinds whose rendered input is ``Reading.dump()``: ``Reading.model_validate_json`` reads it."""


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
    ``spans``: the passages that it marks; ``links``: the relations that it sees; ``remarks``: what it says of regions;
    ``texts``: what it writes into a TextArea; none of them is an answer too ("no entity here", "no answer").
    ``order``: of a Ranker: (bucket, ids of entries from best to worst); the bucket is "" where the config has none.
    ``score``: the probability in [0, 1] that exactly this answer is right; of spans, that of the least sure one is.
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
    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()
    remarks: tuple[Remark, ...] = ()
    texts: tuple[str, ...] = ()
    order: tuple[tuple[str, tuple[str, ...]], ...] = ()


How = Literal["accepted", "edited", "rejected", "by_hand", "skipped"]
"""How an annotation came to be: the prediction that was shown left as it was; some of it kept or changed; none of it
kept; made where none was shown; or no label at all, because the task was skipped."""


class Example(Word):
    """An item with an accepted human answer for one field.

    ``item``: the task's id in Label Studio, negative where it came from a file. ``data``: the item's. ``answer``: the
    one that counts, where several people answered. ``how``: how it came to be. ``share``: of the people who answered,
    how many gave this answer, in (0, 1]; ``people``: how many answered. ``ground_truth``: whether it is marked as such.
    ``epoch``: the memory epoch in which the item's labels changed last. ``given``: the regions that the field relates,
    all of which were there when it was answered.
    """

    item: int
    data: dict[str, Any]
    answer: Answer
    how: How
    share: float = 1.0
    people: int = 1
    ground_truth: bool = False
    epoch: int = 0
    given: tuple[Span, ...] = ()

    @property
    def agreed(self) -> bool:
        """Whether more than one person vouches for it: it is ground truth, or what several of those who answered said,
        and most of them."""
        return self.ground_truth or (round(self.share * self.people) > 1 and self.share > 0.5)


class Second(Word):
    """How a second engine serves a field beside the first; as of ``FieldPlan``. ``weight``: its share, in [0, 1]."""

    engine: str
    model: str
    revision: str
    prompt: str
    prompt_hash: str
    calibration: dict[str, Any] = {}
    weight: float


class FieldPlan(Word):
    """How one field is served: everything that decides its answers.

    ``model``: "starter", a folder, or a Hugging Face id. ``revision``: what pins its weights.
    ``prompt``: "classification/v1". ``prompt_hash``: of that file's content.
    ``calibration``: the task kind's frozen constants (prior, temperature, ...), JSON values only.
    ``beside``: the engine whose probabilities are averaged with this one's; None: it serves alone.
    ``precision``: the share of suggestions that is wished to be right; what is less sure is not suggested. None: off.
    """

    field: Field
    engine: str
    model: str
    revision: str
    prompt: str
    prompt_hash: str
    adapter: str | None = None
    calibration: dict[str, Any] = {}
    beside: Second | None = None
    precision: float | None = None

    @property
    def trainable(self) -> bool:
        """Whether an adapter can be trained for it: it chooses among labels of the config, marks entities or relates,
        by an encoder, or writes, by a causal model."""
        if self.field.kind in WRITTEN:
            return self.engine == "causal"
        engines = (self.engine, self.beside.engine if self.beside else "")
        if self.field.structured:
            return self.field.kind in {"entities", "relations"} and self.engine == "encoder"
        return not self.field.dynamic and "encoder" in engines

    @property
    def suggesting_all(self) -> FieldPlan:
        """The plan without a wished precision: for whom what would be held back counts, too."""
        return self.model_copy(update={"precision": None})

    @property
    def alone(self) -> tuple[FieldPlan, ...]:
        """A plan for each engine that has a say: what it would answer by itself."""
        first = self.model_copy(update={"beside": None})
        if self.beside is None:
            return (first,)
        its = self.beside.model_dump(exclude={"weight"})
        return first, FieldPlan(field=self.field, **its)


class Bundle(Word):
    """What serves a connection: one plan per field. Its ``digest`` is the hex behind the version's name."""

    plans: tuple[FieldPlan, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(plan.field for plan in self.plans)

    @property
    def learning(self) -> frozenset[str]:
        """Names of the fields that have a memory of the labels that people gave."""
        return frozenset(
            plan.field.name
            for plan in self.plans
            if not plan.field.dynamic
            and (
                not plan.field.structured
                or (plan.field.kind in {"entities", "relations"} and plan.engine == "encoder")
                or plan.field.kind in WRITTEN
            )
        )

    @property
    def trainable(self) -> tuple[str, ...]:
        """Names of the fields that can be trained."""
        return tuple(plan.field.name for plan in self.plans if plan.trainable)

    @property
    def remembering(self) -> frozenset[str]:
        """Names of the fields whose answers follow the labels that people gave, without training: those that are
        ``learning``, and those that speak of regions of these."""
        found = self.learning
        return found | {one.name for one in self.fields if found & set(one.regions_of)}

    @property
    def digest(self) -> str:
        """64 hex characters; equal bundles have equal digests in every process, and in later releases."""
        content = self.model_dump(mode="json")
        for plan in content["plans"]:
            for younger in ("beside", "precision"):
                if plan[younger] is None:
                    del plan[younger]
            for younger in (
                "dynamic",
                "conditions",
                "query",
                "regions_of",
                "region_labels",
                "rest",
                "options",
                "formerly",
            ):  # than the first digests that were stored
                if not plan["field"][younger]:
                    del plan["field"][younger]
            for source in (*plan["field"]["sources"], *plan["field"].get("query", ())):
                if not source["inline"] or plan["field"]["kind"] not in STRUCTURED:  # where regions stand
                    del source["inline"]
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def version_name(self, number: int) -> str:
        return f"v{number}-{self.digest[:8]}"
