"""Choosing labels: the probabilities that engines give to a field's labels, alone or averaged, and the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from labelloop.engines import Engine, Ranker, Vectors, load
from labelloop.prompting import Prompt, load_prompt, unchanged
from labelloop.settings import Settings
from labelloop.tasks import calibration, classification, precision, rank, trained
from labelloop.tasks.calibration import Array
from labelloop.tasks.shown import Shown, Turns
from labelloop.words import Answer, FieldPlan

if TYPE_CHECKING:
    from labelloop.tasks.trained_labels import TrainedLabels

READS_ONCE = frozenset({"encoder", "gliner"})
"""Engines that read a text once for all labels of all fields; the others read it with each label."""


@dataclass(frozen=True)
class Chances:
    """What one engine, or two, say of texts. ``labels``: (n_texts, n_labels) probabilities, which sum to 1 in a row
    where one label is chosen. ``windows``: of each text. ``vectors``: (n_texts, d) of the encoder that memory compares
    texts by, where there is a memory."""

    labels: Array
    windows: Sequence[int]
    vectors: Vectors | None = None

    def row(self, place: int) -> Chances:
        """Those of one text."""
        rows = slice(place, place + 1)
        vectors = None if self.vectors is None else self.vectors[rows]
        return Chances(self.labels[rows], self.windows[rows], vectors)

    @classmethod
    def stacked(cls, parts: Sequence[Chances]) -> Chances:
        """Those of all texts of some parts, at least one, all with vectors or all without."""
        vectors = [one.vectors for one in parts if one.vectors is not None]
        windows = [count for one in parts for count in one.windows]
        return cls(np.concatenate([one.labels for one in parts]), windows, np.concatenate(vectors) if vectors else None)


class Recollection(Protocol):
    """What the labels that people gave say of a field's texts, beside its engines. ``epoch``: counts these labels, and
    is part of the cache's key (``scoring.cache.key``). ``encoder``: model and revision of what its vectors are of."""

    @property
    def epoch(self) -> int: ...

    @property
    def encoder(self) -> tuple[str, str]: ...

    @property
    def examples(self) -> int:
        """How many labels it holds; told in the provenance of answers."""
        ...

    @property
    def needs(self) -> precision.Needs:
        """By label the least score with which it is suggested, where a precision is wished for."""
        ...

    @property
    def shown(self) -> Shown | None:
        """The demonstrations that one of the engines reads before each text; None: none of them is shown any."""
        ...

    def accepted(self, texts: Sequence[str]) -> list[int]:
        """Rows of the texts for which labels were accepted as they stand: no model is asked of these."""
        ...

    def chances(self, texts: Sequence[str], vectors: Vectors, zero_shot: Array) -> Array:
        """(n_texts, n_labels) of the same sort as ``zero_shot``, which is what the engines say, with ``shown``."""
        ...


Recollections = Mapping[str, Recollection]
"""By field name."""


def answer(
    plans: Sequence[FieldPlan],
    rendered: Sequence[Mapping[str, str]],
    answers: Sequence[dict[str, Answer]],
    settings: Settings,
    memories: Recollections | None = None,
) -> None:
    """Adds to ``answers``, per item by field name, the answers of plans that choose labels. Raises as ``of_texts``."""
    texts = {one.field.name: _texts(one, rendered) for one in plans}
    memories = {name: one for name, one in (memories or {}).items() if name in texts}
    encoders = {name: memory.encoder for name, memory in memories.items()}
    demonstrations = {name: memory.shown for name, memory in memories.items() if memory.shown}
    each = _each(plans, texts, settings, encoders, demonstrations)
    for place, one in enumerate(plans):
        name = one.field.name
        said = [each[place, number] for number in range(len(one.alone))]
        its = trained.ready(one, settings)
        decided = dict(zip(texts[name], decide(one, texts[name], said, memories.get(name), its), strict=True))
        for found, item in zip(answers, rendered, strict=True):
            if item.get(name, "").strip():
                found[name] = decided[item[name]]
            elif name in item:
                found[name] = classification.empty(one.field)


def decide(
    plan: FieldPlan,
    texts: Sequence[str],
    each: Sequence[Chances],
    memory: Recollection | None = None,
    adapter: TrainedLabels | None = None,
) -> list[Answer]:
    """One answer per text, from what the plan's engines say of the texts (behind the demonstrations of the memory), and
    with memory from what people said of others; then the chances hold vectors. ``adapter``: of the plan, where it has
    one. What is less sure than the plan's precision needs is held back."""
    mixed, alone = together(plan, each)
    labels = mixed.labels
    if memory is not None and each[0].vectors is not None:
        labels = memory.chances(texts, each[0].vectors, labels)
    if adapter is not None and len(texts):
        known = memory.accepted(texts) if memory is not None else []
        labels, before = adapter.chances(texts, labels), labels
        labels[known] = before[known]
    answers = classification.answers(plan.field, labels, mixed.windows)
    if plan.beside:
        answers = [_told(one, plan, [its.labels[row] for its in alone]) for row, one in enumerate(answers)]
    if memory is not None:
        told = {"memory": memory.examples, **({"shown": len(memory.shown.turns)} if memory.shown else {})}
        answers = [one.model_copy(update={"provenance": {**one.provenance, **told}}) for one in answers]
    if plan.precision is not None:
        needs = {} if memory is None else memory.needs
        answers = [precision.of_labels(plan, one, row, needs) for one, row in zip(answers, labels, strict=True)]
    return answers


def opinions(plan: FieldPlan, texts: Sequence[str], encoder: tuple[str, str], settings: Settings) -> list[Chances]:
    """What each of the plan's engines says of texts, none of which is empty, with the vectors of the encoder; a text is
    read once for both. Raises as ``of_texts``."""
    name = plan.field.name
    found = _each([plan], {name: list(texts)}, settings, {name: encoder})
    return [found[0, number] for number in range(len(plan.alone))]


def of_texts(plan: FieldPlan, texts: Sequence[str], settings: Settings) -> Chances:
    """What the plan's first engine says of texts, none of which is empty.

    Raises:
        ModelError: a model cannot be loaded, or changed since the plan was made.
        SettingsError: a prompt changed since the plan was made.
    """
    return _each([plan], {plan.field.name: list(texts)}, settings)[0, 0]


def behind(plan: FieldPlan, turns: Turns, texts: Sequence[str], settings: Settings) -> Chances:
    """What the plan's first engine says of texts behind demonstrations. Raises as ``of_texts``."""
    engine: Ranker = load(plan.engine, plan.model, plan.revision, settings)
    (ranked,) = rank.rank(engine, [plan], [_prompt(plan, settings)], texts, turns=turns)
    return Chances(classification.chances(plan, ranked.similarities, ranked.prior), engine.windows(texts))


def demonstrations(
    plan: FieldPlan, texts: Sequence[str], columns: Sequence[int], vectors: Vectors, most: int, settings: Settings
) -> list[int]:
    """Places of the examples that the plan's first engine is shown; as ``shown.choose``. Raises as ``of_texts``."""
    engine = load(plan.engine, plan.model, plan.revision, settings)
    return rank.demonstrations(engine, plan, _prompt(plan, settings), texts, columns, vectors, most)


def warm(plans: Sequence[FieldPlan], settings: Settings) -> None:
    """Loads the engines, and computes the labels and the priors of plans that choose among fixed labels."""
    for group in _by_engine(plans):
        engine: Ranker = load(group[0][2].engine, group[0][2].model, group[0][2].revision, settings)
        fixed = [one for *_, one in group if not one.field.dynamic]  # others have no labels before an item brings some
        if fixed:
            rank.warm(engine, fixed, [_prompt(one, settings) for one in fixed])


def together(plan: FieldPlan, each: Sequence[Chances]) -> tuple[Chances, Sequence[Chances]]:
    """The chances of the plan's engines as one, and each by itself."""
    if plan.beside is None:
        return each[0], each
    first, second = (its.labels for its in each)
    mixed = calibration.mix(first, second, plan.beside.weight, several=plan.field.multiple)
    return Chances(mixed, each[0].windows), each


def _told(one: Answer, plan: FieldPlan, rows: Sequence[Array]) -> Answer:
    """The answer with what each engine thinks of the label that was chosen."""
    if len(one.labels) != 1:
        return one
    column = next(index for index, label in enumerate(plan.field.labels) if label.path == one.labels[0])
    names = [its.engine for its in plan.alone]
    if names[0] == names[1]:
        names = [f"{its.engine} {its.model} {its.prompt}" for its in plan.alone]
    said = {name: calibration.rounded(row[column]) for name, row in zip(names, rows, strict=True)}
    return one.model_copy(update={"provenance": {**one.provenance, "engines": said}})


def _texts(plan: FieldPlan, rendered: Sequence[Mapping[str, str]]) -> list[str]:
    name = plan.field.name
    return list(dict.fromkeys(item[name] for item in rendered if item.get(name, "").strip()))


_Opinion = tuple[int, int, FieldPlan]  # index of the plan, which of its engines, the plan of that engine alone


def _by_engine(plans: Sequence[FieldPlan], but: Set[tuple[int, int]] = frozenset()) -> Iterator[list[_Opinion]]:
    """In groups, each of which is answered in one call of its engine. ``but``: (place, number) of those left out."""
    groups: dict[tuple[str, ...], list[_Opinion]] = {}
    for place, plan in enumerate(plans):
        for number, one in enumerate(plan.alone):
            if (place, number) in but:
                continue
            # a causal model reads a text once for all labels, behind the lead of one prompt
            alone = "" if one.engine in READS_ONCE else one.prompt if one.engine == "causal" else f"{place} {number}"
            groups.setdefault((one.engine, one.model, one.revision, alone), []).append((place, number, one))
    yield from groups.values()


def _each(
    plans: Sequence[FieldPlan],
    wanted: Mapping[str, Sequence[str]],
    settings: Settings,
    encoders: Mapping[str, tuple[str, str]] | None = None,
    demonstrations: Mapping[str, Shown] | None = None,
) -> dict[tuple[int, int], Chances]:
    """What each engine of each plan says of the field's texts: every text of all plans of an engine in one call,
    against the labels of all of them. ``encoders``: by field name whose vectors are wished for. ``demonstrations``: by
    field name."""
    encoders, demonstrations = encoders or {}, demonstrations or {}
    found: dict[tuple[int, int], Chances] = {}
    read: dict[tuple[str, str], dict[str, Vectors]] = {}
    shown: dict[tuple[int, int], Shown] = {}
    for place, plan in enumerate(plans):
        if its_shown := demonstrations.get(plan.field.name):
            shown[place, its_shown.number] = its_shown
    for group in _by_engine(plans, {which for which, its_shown in shown.items() if its_shown.weight == 1}):
        its = [one for *_, one in group]
        engine: Ranker = load(its[0].engine, its[0].model, its[0].revision, settings)
        texts = list(dict.fromkeys(text for one in its for text in wanted[one.field.name]))
        row = {text: index for index, text in enumerate(texts)}
        windows = engine.windows(texts)
        who, vectors = (its[0].model, its[0].revision), None
        if its[0].engine == "encoder" and who in {encoders.get(one.field.name) for one in its}:
            vectors = cast(Engine, engine).embed(texts)
            read[who] = dict(zip(texts, vectors, strict=True))
        ranked = rank.rank(engine, its, [_prompt(one, settings) for one in its], texts, vectors)
        for (place, number, one), what in zip(group, ranked, strict=True):
            rows = np.array([row[text] for text in wanted[one.field.name]], np.intp)
            labels = classification.chances(one, what.similarities[rows], what.prior)
            found[place, number] = Chances(labels, [windows[index] for index in rows])
    for (place, number), its_shown in shown.items():
        said = behind(plans[place].alone[number], its_shown.turns, wanted[plans[place].field.name], settings)
        if its_shown.weight < 1:
            said = replace(said, labels=calibration.mix(found[place, number].labels, said.labels, its_shown.weight))
        found[place, number] = said
    for (place, number), its_chances in found.items():
        name = plans[place].field.name
        if name in encoders:
            vectors = _vectors(wanted[name], encoders[name], read.setdefault(encoders[name], {}), settings)
            found[place, number] = replace(its_chances, vectors=vectors)
    return found


def _vectors(texts: Sequence[str], who: tuple[str, str], read: dict[str, Vectors], settings: Settings) -> Vectors:
    """(n_texts, d) by an encoder; ``read``: what it has read before, which grows."""
    encoder: Engine = load("encoder", *who, settings)
    new = [text for text in dict.fromkeys(texts) if text not in read]
    read.update(zip(new, encoder.embed(new), strict=True))
    return np.stack([read[text] for text in texts]) if texts else encoder.embed([])


def _prompt(one: FieldPlan, settings: Settings) -> Prompt:
    return unchanged(load_prompt(one.prompt, settings.prompts_dir), one.prompt_hash)
