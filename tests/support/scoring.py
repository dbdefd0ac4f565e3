"""For the scoring tests: small bundles, and a fake engine that can count and fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.settings import Settings
from labelloop.words import Answer, Bundle, Field, FieldPlan, Label, Source


def field(name: str, *labels: str) -> Field:
    return Field(
        name=name,
        tag="Choices",
        kind="classification",
        to_name="t",
        labels=tuple(Label(path=(label,), text=label) for label in labels),
        sources=(Source(name="t", tag="Text", key="text"),),
    )


def fake_bundle(*fields: Field, prompt_hash: str = "1") -> Bundle:
    return Bundle(
        plans=tuple(
            FieldPlan(field=one, engine="fake", model="fake", revision="1", prompt="none/v1", prompt_hash=prompt_hash)
            for one in fields
        )
    )


def expected(one: Field, text: str) -> Answer:
    """What the fake engine says: the text's length decides."""
    label = one.labels[len(text) % len(one.labels)]
    return Answer(field=one.name, labels=(label.path,), score=0.75, alternatives=((label.path, 0.75),))


def answer(bundle: Bundle, rendered: Sequence[Mapping[str, str]]) -> list[list[Answer]]:
    return [
        [expected(plan.field, item[plan.field.name]) for plan in bundle.plans if plan.field.name in item]
        for item in rendered
    ]


class FakeEngine:
    """Counts what it is asked, and fails on texts that say BOOM."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, str]]] = []

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for item in batch for text in item.values()]

    def __call__(
        self, bundle: Bundle, rendered: Sequence[Mapping[str, str]], settings: Settings, memories: object = None
    ) -> list[list[Answer]]:
        self.batches.append([dict(item) for item in rendered])
        if any("BOOM" in text for item in rendered for text in item.values()):
            raise RuntimeError("this text breaks the engine")
        return answer(bundle, rendered)
