"""Fields to classify into, and answering with the real starter encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from labelloop.settings import Settings
from labelloop.tasks import answer, make_bundle
from labelloop.words import Answer, Field, Label

MakeField = Callable[..., Field]
Answering = Callable[[Field, Sequence[str]], list[Answer]]


@pytest.fixture
def make_field() -> MakeField:
    def make(labels: Sequence[str | tuple[str, ...] | Label], name: str = "label", **changes: object) -> Field:
        paths = [label if isinstance(label, Label | tuple) else (label,) for label in labels]
        made = [path if isinstance(path, Label) else Label(path=path, text=" > ".join(path)) for path in paths]
        return Field(
            name=name, tag="Choices", kind="classification", to_name="text", labels=tuple(made), sources=(), **changes
        )

    return make


@pytest.fixture
def cpu(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, device="cpu")


@pytest.fixture
def answering(cpu: Settings) -> Answering:
    def answers(field: Field, texts: Sequence[str]) -> list[Answer]:
        bundle = make_bundle([field], cpu)
        return [one for (one,) in answer(bundle, [{field.name: text} for text in texts], cpu)]

    return answers
