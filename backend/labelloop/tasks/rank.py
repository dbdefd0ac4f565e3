"""Texts against labels of fields: what labels mean, what they are like before any text, how similar texts are."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from labelloop.engines import Engine, Ranker, Vectors
from labelloop.engines.recent import Recent
from labelloop.prompting import Prompt
from labelloop.tasks import calibration, shown
from labelloop.tasks.calibration import Array, Prior
from labelloop.tasks.shown import Turns
from labelloop.tasks.verbalizers import Verbalization, verbalize
from labelloop.words import FieldPlan

_told: Recent[Hashable, Verbalization] = Recent(256)
# engine, model, revision, the prompt's digest, the labels, demonstrations
_PriorKey = tuple[str, str, str, str, Verbalization, Turns]
_priors: Recent[_PriorKey, Prior] = Recent(256)


class Ranked(NamedTuple):
    """``similarities``: (n_texts, n_labels) of one plan's labels; ``prior``: theirs."""

    similarities: Array
    prior: Prior


def rank(
    engine: Ranker,
    plans: Sequence[FieldPlan],
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    vectors: Vectors | None = None,
    turns: Turns = (),
) -> list[Ranked]:
    """Per plan of one engine, the texts against its labels: one call for all plans, so a text is embedded once. Where
    their prompts have a lead it is the same. ``vectors``: (n_texts, d) of an engine that has embedded them already.
    ``turns``: demonstrations before each text; then there is one plan."""
    told = [_verbalize(one, prompt) for one, prompt in zip(plans, prompts, strict=True)]
    labels = [label for one in told for label in one.texts]
    before = _before(plans[0], prompts[0], told[0], turns)
    if vectors is None:
        similarities = _read(engine, texts, labels, before)
    else:
        similarities = cast(Engine, engine).against(vectors, labels).astype(np.float64)
    ranked, column = [], 0
    for verbalization, prior in zip(told, _priors_of(engine, plans, prompts, told, turns, before), strict=True):
        columns = slice(column, column := column + len(verbalization.texts))
        ranked.append(Ranked(similarities[:, columns], prior))
    return ranked


def warm(engine: Ranker, plans: Sequence[FieldPlan], prompts: Sequence[Prompt]) -> None:
    """Computes the labels and the priors of the plans of one engine."""
    rank(engine, plans, prompts, ())


def demonstrations(
    engine: Any,
    plan: FieldPlan,
    prompt: Prompt,
    texts: Sequence[str],
    columns: Sequence[int],
    vectors: Vectors,
    most: int,
) -> list[int]:
    """Places of the examples that the plan's engine is shown; as ``shown.choose``. ``most``: the prompt's at most."""
    turns = tuple(zip(texts, columns, strict=True))
    told = _verbalize(plan, prompt)
    if plan.engine == "causal":
        own, *each = engine.token_counts([shown.lead(prompt.lead, told, some) for some in ((), *zip(turns))])
        room, sizes = engine.spare(told.texts) - own, [tokens - own for tokens in each]
    else:
        room, sizes = engine.spare(told.texts), engine.shown_sizes(told.texts, turns)
    return shown.choose(sizes, columns, vectors, min(most, prompt.shown), room)


def _read(engine: Ranker, texts: Sequence[str], labels: Sequence[Sequence[str]], before: Mapping[str, Any]) -> Array:
    return engine.rank(texts, labels, **before).astype(np.float64)


def _before(plan: FieldPlan, prompt: Prompt, told: Verbalization, turns: Turns) -> dict[str, Any]:
    """What stands before every text, as the plan's engine takes it."""
    if turns and plan.engine == "remote":
        return {"shown": turns}
    lead = shown.lead(prompt.lead, told, turns)
    return {"lead": lead} if lead else {}


def _verbalize(one: FieldPlan, prompt: Prompt) -> Verbalization:
    return _told.get([(one.field, prompt.digest)], lambda _: [verbalize(one.field, prompt)])[0]


def _priors_of(
    engine: Ranker,
    plans: Sequence[FieldPlan],
    prompts: Sequence[Prompt],
    told: Sequence[Verbalization],
    turns: Turns,
    before: Mapping[str, Any],
) -> list[Prior]:
    """The prior of each plan, computed once per process, set of labels and demonstrations: it depends on nothing else,
    so it is the same in every process. Those that are new are computed together, because the general texts cost most
    of it."""
    keys: list[_PriorKey] = [
        (one.engine, one.model, one.revision, prompt.digest, verbalization, turns)
        for one, prompt, verbalization in zip(plans, prompts, told, strict=True)
    ]

    def estimate(new: list[_PriorKey]) -> list[Prior]:
        found: dict[_PriorKey, Prior] = {}
        for prompt in {prompt.digest: prompt for prompt in prompts}.values():
            its = [key for key in new if key[3] == prompt.digest]
            labels = [label for key in its for label in key[4].texts]
            place = {text: row for row, text in enumerate(dict.fromkeys((*prompt.plain, *prompt.everyday)))}
            similarities = _read(engine, list(place), labels, before)
            plain, everyday = ([place[text] for text in some] for some in (prompt.plain, prompt.everyday))
            column = 0
            for key in its:
                columns = similarities[:, column : (column := column + len(key[4].texts))]
                found[key] = calibration.estimate_prior(columns[plain], columns[everyday], key[4].residual)
        return [found[key] for key in new]

    return _priors.get(keys, estimate)
