"""Fields whose labels come with each item: one plan for each set of labels that occurs, so equal sets cost one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labelloop.words import Answer, Bundle, FieldPlan, posed

Answering = Callable[[Bundle, Sequence[Mapping[str, str]]], list[list[Answer]]]

MOST_LABELS = 4096  # in one call: each is a few vectors, and each text is compared with each
_LOST = "The item's labels did not come with its text."


@dataclass
class _Part:
    """Items that are answered in one call. ``plans``: by the name that a field with one set of labels has meanwhile.
    ``names``: the field's own, by that name. ``answers``: those that are known before."""

    plans: dict[str, FieldPlan] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    texts: list[dict[str, str]] = field(default_factory=list)
    answers: list[dict[str, Answer]] = field(default_factory=list)

    @property
    def labels(self) -> int:
        return sum(len(plan.field.labels) for plan in self.plans.values())


def answer_each(bundle: Bundle, rendered: Sequence[Mapping[str, str]], answering: Answering) -> list[list[Answer]]:
    """As ``tasks.answer``, for a bundle with dynamic fields: ``answering`` is asked with ordinary ones only."""
    found = []
    for part in _parts(bundle, rendered):
        answered = answering(Bundle(plans=tuple(part.plans.values())), part.texts)
        for known, answers in zip(part.answers, answered, strict=True):
            for one in answers:
                name = part.names[one.field]
                known[name] = one.model_copy(update={"field": name})
            found.append([known[plan.field.name] for plan in bundle.plans if plan.field.name in known])
    return found


def _parts(bundle: Bundle, rendered: Sequence[Mapping[str, str]]) -> Iterator[_Part]:
    part = _Part()
    for item in rendered:
        if part.labels > MOST_LABELS:
            yield part
            part = _Part()
        texts: dict[str, str] = {}
        known: dict[str, Answer] = {}
        for plan in bundle.plans:
            name = plan.field.name
            if name not in item:
                continue
            try:
                its_name, its_plan, text = _ordinary(plan, item[name])
            except ValueError:
                known[name] = Answer(field=name, labels=(), score=0.0, reason=_LOST)
                continue
            part.plans[its_name], part.names[its_name], texts[its_name] = its_plan, name, text
        for plan in bundle.plans:
            if plan.field.structured:  # others of the item's fields may need its regions
                part.plans.setdefault(plan.field.name, plan)
                part.names.setdefault(plan.field.name, plan.field.name)
        part.texts.append(texts)
        part.answers.append(known)
    if part.texts:
        yield part


def _ordinary(plan: FieldPlan, rendered: str) -> tuple[str, FieldPlan, str]:
    """A name for the plan with this item's labels, that plan, and the text. Raises ValueError without labels."""
    if not plan.field.dynamic:
        return plan.field.name, plan, rendered
    text, labels = posed(rendered)
    if len(labels) < 2:
        raise ValueError("nothing to choose")
    mark = hashlib.sha256(repr([(one.path, one.text, one.description) for one in labels]).encode()).hexdigest()[:16]
    name = f"{plan.field.name}\0{mark}"  # the same in every batch, so what is computed for these labels is found again
    changes = {"name": name, "labels": labels, "dynamic": ""}
    return name, plan.model_copy(update={"field": plan.field.model_copy(update=changes)}), text
