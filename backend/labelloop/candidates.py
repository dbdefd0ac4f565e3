"""Prompts that are compared: by name or from a file, each served for a field without touching the operator's own."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from labelloop.errors import RequestError
from labelloop.prompting import Prompt, PromptFile, load_prompt, places, read_file
from labelloop.settings import EngineName, FieldSetting, Settings
from labelloop.tasks import plan
from labelloop.tasks.prompt_files import model_of, task_of
from labelloop.wordings import Words, with_words
from labelloop.words import Field, FieldPlan

FIRST_OWN = 101
"""The least number of a prompt that is nobody's but the operator's: shipped ones stay below."""
_STAGED = 900_001  # numbers of files that are only tried
_NAME = re.compile(r"[a-z][a-z0-9_]*/v[0-9]+")
_NUMBER = re.compile(r"v[0-9]+")


@dataclass(frozen=True)
class Candidate:
    """``shown``: as the person named it. ``prompt``: its name while it is tried. ``content``: of its file. ``own``: it
    can be named in the settings as it is; otherwise it must first be laid into a folder of prompts."""

    shown: str
    prompt: str
    content: bytes
    own: bool

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Ballot:
    """The candidates for one field. ``folder``: an empty one, which lives as long as they are served.

    Raises:
        SettingsError, ConfigError, ModelError: as ``tasks.plan``: the field cannot be served as things are.
    """

    def __init__(self, field: Field, settings: Settings, folder: Path) -> None:
        self.field, self.settings = field, settings
        self.plan: FieldPlan = plan(field, settings)
        self.task = task_of(self.plan.prompt)
        self.candidates: list[Candidate] = []
        self._folder = folder
        self._model = model_of(field.kind, cast(EngineName, self.plan.engine))
        if settings.prompts_dir and Path(settings.prompts_dir).expanduser().is_dir():
            shutil.copytree(Path(settings.prompts_dir).expanduser(), folder, dirs_exist_ok=True)

    def add(self, given: str) -> None:
        """A prompt by its name ("classification/v1", "v1"), or a file.

        Raises:
            RequestError: there is none, or it is one of another task.
            SettingsError: its file is not as a prompt must be; the message names the key.
        """
        name = f"{self.task}/{given}" if _NUMBER.fullmatch(given) else given
        known = {place.name: place.path for place in places(str(self._folder))}
        if _NAME.fullmatch(name):
            if task_of(name) != self.task or name not in known:
                there = ", ".join(one for one in known if task_of(one) == self.task)
                raise RequestError(
                    f"There is no prompt {name} for '{self.field.name}', which is served by {self.plan.engine} as "
                    f"{self.field.kind}.",
                    f"There are: {there}; or give the path of a YAML file.",
                )
            self._check(known[name], name)
            self.candidates.append(Candidate(given, name, known[name].read_bytes(), own=True))
            return
        path = Path(given).expanduser()
        self._check(path, name)
        self._stage(given, path.read_bytes())

    def add_words(self, name: str, words: Words, base: str) -> None:
        """The prompt ``base`` with other words for the field's labels.

        Raises:
            RequestError: a label is none of the field's, or the field does not choose labels.
        """
        if self._model is not Prompt or self.field.dynamic or self.field.structured:
            raise RequestError(
                f"'{self.field.name}' has no labels whose words could be compared.",
                "--words is for controls that choose among the labels of the config.",
            )
        prompt = load_prompt(base, str(self._folder))
        content = next(place.path for place in places(str(self._folder)) if place.name == base).read_bytes()
        self._stage(f"words {name}", with_words(content, prompt, self.field, words, name))

    def settings_for(self, candidate: Candidate) -> Settings:
        """The settings under which the field is served by the candidate, all else as it is."""
        own = self.settings.fields.get(self.field.name) or FieldSetting()
        fields = {**self.settings.fields, self.field.name: own.model_copy(update={"prompt": candidate.prompt})}
        return self.settings.model_copy(update={"fields": fields, "prompts_dir": str(self._folder)})

    def _check(self, path: Path, name: str) -> None:
        model: type[PromptFile] = self._model
        read_file(path, name, model)

    def _stage(self, shown: str, content: bytes) -> None:
        name = f"{self.task}/v{_STAGED + len(self.candidates)}"
        path = self._folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._check(path, name)
        self.candidates.append(Candidate(shown, name, content, own=False))


def install(candidate: Candidate, task: str, prompts_dir: Path) -> str:
    """Lays the candidate's file into a folder of prompts, under the next number of the operator's own; the name.

    Raises:
        RequestError: the folder cannot be written.
    """
    numbers = [int(place.name.rsplit("v", 1)[1]) for place in places(str(prompts_dir)) if task_of(place.name) == task]
    name = f"{task}/v{max([FIRST_OWN, *(number + 1 for number in numbers)])}"
    path = prompts_dir / f"{name}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(candidate.content)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from None
    return name


def twins(candidates: Sequence[Candidate]) -> list[tuple[str, str]]:
    """Names of candidates whose files are the same."""
    first: dict[str, str] = {}
    found = []
    for one in candidates:
        if one.digest in first:
            found.append((first[one.digest], one.shown))
        first.setdefault(one.digest, one.shown)
    return found
