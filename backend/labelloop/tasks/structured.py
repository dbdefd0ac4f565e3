"""Fields whose input is a Reading: spans first, then what relates or describes them; one registered kind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from labelloop.engines import load
from labelloop.prompting import Prompt, PromptFile, load_file, unchanged
from labelloop.settings import EngineName, Settings
from labelloop.tasks import (
    comparison,
    dialogue,
    entities,
    extraction,
    extraction_prompt,
    generation,
    precision,
    qualities,
    question_answering,
    ranking,
    relations,
    remarks,
    summarisation,
    trained,
    translation,
    written_entities,
    written_relations,
)
from labelloop.tasks.classification import empty
from labelloop.tasks.entity_prompt import EntityPrompt
from labelloop.tasks.pairs import Pair
from labelloop.tasks.relation_memory import RelationMemory
from labelloop.tasks.relation_model import statements
from labelloop.tasks.relation_prompt import RelationPrompt
from labelloop.tasks.span_memory import SpanMemory
from labelloop.tasks.structure_prompt import RelatingPrompt, TaggingPrompt
from labelloop.tasks.text_memory import TextMemory
from labelloop.tasks.writing import Craft, writes
from labelloop.tasks.writing import answer as write
from labelloop.tasks.writing_prompt import WritingPrompt
from labelloop.words import Answer, Bundle, FieldPlan, Passage, Reading, Span

if TYPE_CHECKING:
    from labelloop.tasks.trained_relations import TrainedRelations
    from labelloop.tasks.trained_spans import TrainedSpans
    from labelloop.tasks.trained_texts import TrainedTexts


@dataclass(frozen=True)
class Kind:
    """A task kind. ``prompt``: what new plans use; ``file``: what its file must be like.

    ``answer(plan, readings, engine, prompt)``: one Answer per reading, none of which is empty; no answer depends on the
    other readings. ``on_spans``: it needs the regions of ``field.regions_of``, which then are in ``reading.given``.
    ``warm(plan, engine, prompt)``: computes what the first answer would wait for.
    """

    prompt: str
    file: type[Any]
    answer: Callable[[FieldPlan, Sequence[Reading], Any, Any], list[Answer]]
    on_spans: bool = False
    warm: Callable[[FieldPlan, Any, Any], None] = lambda plan, engine, prompt: None


_WRITTEN: dict[str, tuple[str, type[WritingPrompt], Craft]] = {
    "dialogue": (dialogue.PROMPT, dialogue.Prompt, dialogue.CRAFT),
    "generation": (generation.PROMPT, generation.Prompt, generation.CRAFT),
    "question_answering": (question_answering.PROMPT, question_answering.Prompt, question_answering.CRAFT),
    "summarisation": (summarisation.PROMPT, summarisation.Prompt, summarisation.CRAFT),
    "translation": (translation.PROMPT, translation.Prompt, translation.CRAFT),
}
_WRITERS: tuple[EngineName, ...] = ("causal", "remote")

_entities = Kind(entities.PROMPT, EntityPrompt, entities.answer, warm=entities.warm)
KINDS: dict[tuple[str, EngineName], Kind] = {
    ("entities", "encoder"): _entities,
    ("entities", "gliner"): _entities,
    **dict.fromkeys(
        [("entities", "causal"), ("entities", "remote")],
        Kind(written_entities.PROMPT, TaggingPrompt, written_entities.answer),
    ),
    ("extraction", "encoder"): Kind(extraction.PROMPT, extraction_prompt.Prompt, extraction.answer),
    ("comparison", "encoder"): Kind(qualities.PROMPT, qualities.Prompt, comparison.answer),
    ("ranking", "encoder"): Kind(qualities.PROMPT, qualities.Prompt, ranking.answer),
    ("relations", "encoder"): Kind(
        relations.PROMPT, RelationPrompt, relations.answer, on_spans=True, warm=relations.warm
    ),
    **dict.fromkeys(
        [("relations", "causal"), ("relations", "remote")],
        Kind(written_relations.PROMPT, RelatingPrompt, written_relations.answer, on_spans=True),
    ),
    ("remarks", "encoder"): Kind(remarks.PROMPT, Prompt, remarks.answer, on_spans=True, warm=remarks.warm),
    **{
        (name, engine): Kind(prompt, file, writes(craft))
        for name, (prompt, file, craft) in _WRITTEN.items()
        for engine in _WRITERS
    },
    **{
        ("extraction", engine): Kind(
            question_answering.PROMPT, question_answering.Prompt, writes(question_answering.QUOTING)
        )
        for engine in _WRITERS
    },
}
"""By task kind and engine; of the engines that serve a kind, "auto" takes the first."""


def kind_of(plan: FieldPlan) -> Kind:
    return KINDS[plan.field.kind, cast(EngineName, plan.engine)]


def prompt_of(kind: str, engine: EngineName, settings: Settings, name: str = "") -> PromptFile:
    """The prompt that new plans of a kind use: ``name``, else the kind's own. Raises SettingsError as ``load_file``."""
    its = KINDS[kind, engine]
    model: type[PromptFile] = its.file
    return load_file(name or its.prompt, settings.prompts_dir, model)


def answer(
    bundle: Bundle,
    rendered: Sequence[Mapping[str, str]],
    answers: Sequence[dict[str, Answer]],
    settings: Settings,
    memories: Mapping[str, Any] | None = None,
) -> None:
    """Adds the answers of the structured fields to ``answers``, per item by field name.

    A field on spans finds them in its reading, where they are given; else in the answers of the span fields, which are
    computed for it where the item does not ask for them. ``memories``: by field name, of fields that mark entities,
    relate or write.
    """
    plans = {one.field.name: one for one in bundle.plans if one.field.structured}
    needed: list[dict[str, Answer]] = [{} for _ in rendered]
    for on_spans in (False, True):
        for name, plan in plans.items():
            if kind_of(plan).on_spans != on_spans:
                continue
            asked: list[tuple[int, Reading]] = []
            for index, item in enumerate(rendered):
                reading = _reading(name, plans, item)
                if reading is None:
                    continue
                if on_spans and not reading.given:
                    given = _found(plan, needed[index])
                    reading = reading.model_copy(update={"given": given})
                asked.append((index, reading))
            found = _answers(plan, [r for _, r in asked], settings, (memories or {}).get(name))
            for (index, _), one in zip(asked, found, strict=True):
                needed[index][name] = one
                if name in rendered[index]:
                    answers[index][name] = one


def _reading(name: str, plans: Mapping[str, FieldPlan], item: Mapping[str, str]) -> Reading | None:
    """What the field reads of the item; for one that is not asked for, what it reads of the reading of a field that
    needs its regions and has none given. None where nobody needs it, or its question cannot be read."""
    if name in item:
        return Reading.model_validate_json(item[name])
    field = plans[name].field
    own = {source.name for source in field.sources}
    for other, plan in plans.items():
        if other not in item or name not in plan.field.regions_of:
            continue
        reading = Reading.model_validate_json(item[other])
        queries = dict(reading.queries)
        if not reading.given and (not field.query or name in queries):
            passages = tuple(passage for passage in reading.passages if passage.name in own)
            return Reading(passages=passages, query=queries.get(name, ""))
    return None


def _found(plan: FieldPlan, known: Mapping[str, Answer]) -> tuple[Span, ...]:
    spans = (span for name in plan.field.regions_of if name in known for span in known[name].spans)
    return tuple(span for span in spans if not plan.field.region_labels or span.label[-1] in plan.field.region_labels)


def _answers(plan: FieldPlan, readings: Sequence[Reading], settings: Settings, memory: Any = None) -> list[Answer]:
    read = [reading for reading in readings if not reading.empty]
    nothing = empty(plan.field)
    if not read:
        return [nothing for _ in readings]
    engine = load(plan.engine, plan.model, plan.revision, settings)
    if writes_texts(plan) and (isinstance(memory, TextMemory) or plan.adapter is not None):
        craft, prompt = craft_of(plan, settings)
        learnt = memory if isinstance(memory, TextMemory) else None
        if (writer := cast("TrainedTexts | None", trained.ready(plan, settings))) is not None:
            found: Iterator[Answer] = iter(writer.answer(plan, read, craft, prompt, learnt))
        else:
            found = iter(write(craft, plan, read, engine, prompt, learnt))
    elif remembers(plan):
        adapter = cast("TrainedSpans | None", trained.ready(plan, settings))
        known = memory if isinstance(memory, SpanMemory) else None
        found = iter(entities.answer(plan, read, engine, cast(EntityPrompt, _prompt(plan, settings)), known, adapter))
    elif relates(plan):
        its = cast("TrainedRelations | None", trained.ready(plan, settings))
        seen = memory if isinstance(memory, RelationMemory) else None
        found = iter(relations.answer(plan, read, engine, cast(RelationPrompt, _prompt(plan, settings)), seen, its))
    else:
        found = iter(kind_of(plan).answer(plan, read, engine, _prompt(plan, settings)))
    if plan.precision is not None:
        needs = {} if memory is None else memory.needs
        found = (precision.of_spans(plan, one, needs) for one in found)
    return [nothing if reading.empty else next(found) for reading in readings]


def remembers(plan: FieldPlan) -> bool:
    """Whether the field's spans can have a memory: an encoder's models mark them."""
    return plan.field.kind == "entities" and plan.engine == "encoder"


def relates(plan: FieldPlan) -> bool:
    """Whether the field can have a memory of relations: an encoder's models see its pairs."""
    return plan.field.kind == "relations" and plan.engine == "encoder"


def writes_texts(plan: FieldPlan) -> bool:
    """Whether the field can have a memory of texts: a writer fills it with words of its own."""
    return plan.field.kind in _WRITTEN and plan.engine in _WRITERS


def craft_of(plan: FieldPlan, settings: Settings) -> tuple[Craft, WritingPrompt]:
    """What the kind of a plan that ``writes_texts`` knows, and the plan's prompt. Raises as ``answer``."""
    return _WRITTEN[plan.field.kind][2], cast(WritingPrompt, _prompt(plan, settings))


def entity_candidates(plan: FieldPlan, passages: Sequence[Passage], settings: Settings) -> list[entities.Candidate]:
    """``entities.candidates`` of a plan that ``remembers``."""
    engine = load(plan.engine, plan.model, plan.revision, settings)
    prompt = cast(EntityPrompt, _prompt(plan, settings))
    return entities.candidates(plan, passages, engine, prompt)


def relation_columns(plan: FieldPlan, settings: Settings) -> tuple[relations.Column, ...]:
    """``relations.columns_of`` a plan that ``relates``."""
    return relations.columns_of(plan, cast(RelationPrompt, _prompt(plan, settings)))


def relation_statements(plan: FieldPlan, settings: Settings, related: str) -> list[list[str]]:
    """What each of the ``relation_columns`` says of a pair X and Y, in some sentences; ``related``: of one that has no
    name."""
    prompt = cast(RelationPrompt, _prompt(plan, settings))
    return [statements(one.phrase or related, one.forward, prompt) for one in relations.columns_of(plan, prompt)]


def related(
    plan: FieldPlan,
    count: int,
    judged: Iterable[Sequence[relations.Judged]],
    settings: Settings,
    memory: RelationMemory | None,
    adapter: TrainedRelations | None = None,
) -> list[Answer]:
    """``relations.answers_of`` a plan that ``relates``."""
    return relations.answers_of(plan, count, judged, cast(RelationPrompt, _prompt(plan, settings)), memory, adapter)


def judged_pairs(
    plan: FieldPlan, asked: Sequence[tuple[int, str, list[Pair]]], settings: Settings
) -> list[relations.Judged]:
    """What a plan that ``relates`` says of all these pairs, in their order, without memory."""
    engine = load(plan.engine, plan.model, plan.revision, settings)
    prompt = cast(RelationPrompt, _prompt(plan, settings))
    return [one for part in relations.judge(plan, asked, engine, prompt) for one in part]


def warm(bundle: Bundle, settings: Settings) -> None:
    """Computes what the first answers would wait for. Raises as ``answer``."""
    for plan in bundle.plans:
        if plan.field.structured:
            engine = load(plan.engine, plan.model, plan.revision, settings)
            kind_of(plan).warm(plan, engine, _prompt(plan, settings))


def _prompt(plan: FieldPlan, settings: Settings) -> PromptFile:
    model: type[PromptFile] = kind_of(plan).file
    return unchanged(load_file(plan.prompt, settings.prompts_dir, model), plan.prompt_hash)
