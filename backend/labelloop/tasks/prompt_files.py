"""Which tasks have prompt files, what such a file must be like, and whom it serves."""

from __future__ import annotations

from labelloop.prompting import Prompt, PromptFile
from labelloop.settings import EngineName
from labelloop.tasks import KINDS, structured


def task_of(prompt: str) -> str:
    """The task of a prompt's name: "classification" of "classification/v1"."""
    return prompt.split("/")[0]


def model_of(kind: str, engine: EngineName) -> type[PromptFile]:
    """What the prompt files of a task kind and an engine must be like."""
    its = structured.KINDS.get((kind, engine))
    return its.file if its else Prompt


def models() -> dict[str, type[PromptFile]]:
    """What a prompt file must be like, by its task."""
    return {task_of(prompt): model_of(*key) for key, prompt in KINDS.items()}


def serves(task: str) -> list[tuple[str, EngineName]]:
    """(Task kind, engine) whose prompts are those of a task."""
    return [key for key, prompt in KINDS.items() if task_of(prompt) == task]
