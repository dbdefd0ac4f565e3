"""Prompts, apart from code: loads prompts/<task>/<version>.yaml, checks and hashes it; renders templates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypeVar, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from labelloop.errors import SettingsError

RELEASED = "RELEASED"
"""The file beside the shipped prompts that lists their hashes, as `sha256sum` writes and checks them."""
_SAID = {"extra_forbidden": "there is no such key", "missing": "this key is missing"}
_NAME = re.compile(r"[a-z][a-z0-9_]*/v[0-9]+")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_PLACEHOLDERS = frozenset({"label", "description", "question"})


def render(template: str, values: Mapping[str, str]) -> str:
    """Fills the placeholders of a template in one pass, so that braces in a value are only text.

    >>> render("{question} {label}", {"label": "{question}", "question": "Which?"})
    'Which? {question}'
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _known_placeholders(template: str) -> str:
    unknown = set(_PLACEHOLDER.findall(template)) - _PLACEHOLDERS
    if unknown:
        raise ValueError(f"{template!r} has unknown placeholders {sorted(unknown)}; known: {sorted(_PLACEHOLDERS)}")
    return template


Template = Annotated[str, Field(min_length=1), AfterValidator(_known_placeholders)]
Templates = Annotated[tuple[Template, ...], Field(min_length=1)]
Phrases = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class Strict(BaseModel):
    """A part of a prompt file: frozen, and refusing keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(Strict):
    """Labels that explain each other, such as "positive" and "negative".

    ``labels``: spellings of a label, split by "|", to the phrases that mean it. ``templates``: each phrase is put into
    each, but one that ends like a sentence stands as it is. ``share``: the least share of a field's labels that must
    belong to the group before it is used, so that "love" is read as an emotion only among emotions; ``fewest``: the
    least number of them.
    """

    labels: dict[str, Phrases]
    share: float = Field(0.5, gt=0, le=1)
    fewest: int = Field(2, ge=1)
    templates: Templates = ("{label}",)


class Scale(Strict):
    """How the steps of an ordinal field are told.

    ``steps``: from lowest to highest, each with its texts, which may hold {question}. ``words``: the scale serves
    fields whose name or question has one of these; none: every field.
    """

    words: tuple[str, ...] = ()
    steps: Annotated[tuple[Templates, ...], Field(min_length=2)]


class Constants(Strict):
    """The numbers between similarity and probability; ``tasks.calibration`` says how each is used."""

    prior: float = Field(ge=0, le=1)
    slope: float = Field(gt=0)
    residual: float
    residual_labels: float = Field(ge=0)
    several_offset: float
    several_best: float = Field(ge=0)
    several_own: float = Field(ge=0)


class PromptFile(Strict):
    """One prompt file; a task kind's own model adds its keys. ``digest`` is the SHA-256 of its bytes, in hex."""

    name: str
    digest: str


class Prompt(PromptFile):
    """A prompt file of the classification task. ``lead``: what a causal model reads before every text. ``shown``: how
    many accepted examples stand before a text at most, where a causal or a remote model reads it; 0 shows none."""

    lead: str = ""
    shown: int = Field(16, ge=0)
    templates: Templates
    described: Templates
    asked: Templates
    words: dict[str, str]
    groups: dict[str, Group]
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]
    plain: Annotated[tuple[str, ...], Field(min_length=8)]
    everyday: Annotated[tuple[str, ...], Field(min_length=8)]
    constants: Constants

    @model_validator(mode="after")
    def _last_scale_is_general(self) -> Self:
        if self.scales[-1].words:
            raise ValueError("the last of scales must have no words: it serves every field that no other serves")
        return self


File = TypeVar("File", bound=PromptFile)


def load_prompt(name: str, prompts_dir: str = "") -> Prompt:
    """A prompt of the classification task. Raises as ``load_file``."""
    return load_file(name, prompts_dir, Prompt)


def load_file(name: str, prompts_dir: str, model: type[File]) -> File:
    """The prompt called ``name``, for example "classification/v1".

    Args:
        prompts_dir: a folder whose <task>/<version>.yaml comes before the shipped one; "" for none.
        model: what the file must be like: that of its task kind.

    Raises:
        SettingsError: there is no such file, or it is not as a prompt must be; the message names the key.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no prompt.", 'A prompt is named "<task>/v<number>", like classification/v1.')
    return read_file(_find(name, prompts_dir), name, model)


def read_file(path: Path, name: str, model: type[File]) -> File:
    """The prompt in a file, wherever it lies, as ``name``. Raises SettingsError as ``load_file``."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise SettingsError(f"The prompt {path} cannot be read: {error.strerror}.") from None
    return cast(File, _load(name, path, changed, model))


def unchanged(prompt: File, digest: str) -> File:
    """The prompt, if it is still the one that a version was made with. Raises SettingsError where it has changed."""
    if prompt.digest != digest:
        raise SettingsError(
            f"The prompt {prompt.name} has changed since this version was made.",
            "Bring the old file back, or run `labelloop connect` again: it makes a version with the new one.",
        )
    return prompt


class Place(NamedTuple):
    """Where a prompt lies. ``shipped``: with LabelLoop; else in the operator's folder."""

    name: str
    path: Path
    shipped: bool


def places(prompts_dir: str = "") -> list[Place]:
    """Every prompt that can be named, by task and number; one of the operator's folder stands in for a shipped one of
    the same name, which then is not listed."""
    found: dict[str, Place] = {}
    for folder in reversed(folders(prompts_dir)):
        for path in folder.glob("*/*.yaml"):
            name = f"{path.parent.name}/{path.stem}"
            if _NAME.fullmatch(name):
                found[name] = Place(name, path, folder in _shipped())
    return sorted(found.values(), key=lambda place: (place.name.split("/")[0], int(place.name.rsplit("v", 1)[1])))


def released() -> dict[str, str]:
    """The SHA-256 of each released prompt, in hex, by its name. Such a file is never edited again."""
    for folder in _shipped():
        if (folder / RELEASED).is_file():
            lines = (folder / RELEASED).read_text(encoding="utf-8").splitlines()
            return {path.removesuffix(".yaml"): digest for digest, path in (line.split() for line in lines if line)}
    return {}


def folders(prompts_dir: str = "") -> list[Path]:
    """Where prompts are looked for, first the operator's folder."""
    return [*([Path(prompts_dir).expanduser()] if prompts_dir else ()), *_shipped()]


def _shipped() -> list[Path]:
    package = Path(__file__).parent
    return [package / "prompts", package.parents[1] / "prompts"]  # in the wheel; in the repository


def _find(name: str, prompts_dir: str) -> Path:
    for folder in folders(prompts_dir):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    raise SettingsError(
        f"There is no prompt {name}: looked for {name}.yaml in {', '.join(map(str, folders(prompts_dir)))}.",
        "`labelloop prompts list` shows those that there are; LABELLOOP_PROMPTS_DIR names a folder of your own.",
    )


@lru_cache(maxsize=32)
def _load(name: str, path: Path, _changed: int, model: type[PromptFile]) -> PromptFile:
    content = path.read_bytes()
    try:
        read: Any = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if not isinstance(read, dict):
            raise ValueError("it must be a mapping")
        return model(**{**read, "name": name, "digest": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {_SAID.get(e['type'], e['msg'])}" for e in error.errors()
        )
        raise SettingsError(
            f"The prompt {path} is wrong: {wrong}.", "Correct it; the shipped one is an example."
        ) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise SettingsError(f"The prompt {path} cannot be read: {error}.", "It must be YAML.") from None
