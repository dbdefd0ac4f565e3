"""A trained adapter as it serves a field that writes: how it is kept, what it is asked, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labelloop.engines import Writer, load
from labelloop.errors import ModelError
from labelloop.settings import Settings
from labelloop.tasks import writing
from labelloop.tasks.text_memory import TextMemory
from labelloop.tasks.writing import Craft
from labelloop.tasks.writing_prompt import WritingPrompt
from labelloop.words import Answer, FieldPlan, Reading

if TYPE_CHECKING:
    from labelloop.engines.causal_training import Recipe

Way = Literal["alone", "chosen"]
"""How an answer comes about: what the adapter writes first, with an extract only where that is of no use; or one that
is chosen, as the prompt has it, among several and what no model wrote."""
_WAY, _LONGEST, _INTERCEPT = "way", "longest", "intercept"


@dataclass(frozen=True)
class TrainedTexts:
    """``adapter``: its sha256. ``writer``: with the adapter, made ready anew where others took its place
    (``engines.adapted``). ``longest``: tokens that a reply may have at least. ``intercept``: of the chance that a
    text is right by its likelihood (``Constants``); None: the prompt's."""

    adapter: str
    writer: Callable[[], Writer]
    way: Way
    longest: int
    intercept: float | None = None

    def answer(
        self,
        plan: FieldPlan,
        readings: Sequence[Reading],
        craft: Craft,
        prompt: WritingPrompt,
        memory: TextMemory | None = None,
    ) -> list[Answer]:
        """As ``writing.answer``, of an ask that shows nothing: what demonstrations would tell, the adapter knows. An
        item that says what another said whose text was accepted is answered by that, as ever."""
        if self.way == "alone":
            craft = replace(craft, beside=lambda job, prompt: ())
        return writing.answer(craft, plan, readings, self.writer(), self._asking(prompt), memory)

    def _asking(self, prompt: WritingPrompt) -> WritingPrompt:
        changes: dict[str, Any] = {}
        if self.way == "alone":
            changes |= {"samples": 1, "choice": "likeliest"}
        if self.intercept is not None:
            changes["constants"] = prompt.constants.model_copy(update={"intercept": self.intercept})
        return bare(prompt, self.longest).model_copy(update=changes)


def bare(prompt: WritingPrompt, longest: int = 1) -> WritingPrompt:
    """The prompt without demonstrations, for replies of at least ``longest`` tokens."""
    usual = prompt.length
    least, most = max(usual.least, longest), max(usual.most, longest)
    length = usual.model_copy(update={"least": least, "most": most})
    return prompt.model_copy(update={"shown": 0, "length": length})


def keep(
    plan: FieldPlan, its: TrainedTexts, weights: Mapping[str, Any], recipe: Recipe, told: Any, parent: Path
) -> Path:
    """Writes an adapter to a folder of ``parent`` that its sha256 names, with how it serves."""
    from labelloop.engines import adapter_files

    ways = {_WAY: its.way, _LONGEST: its.longest, _INTERCEPT: its.intercept}
    about = adapter_files.About(
        engine="causal", method=recipe.method, base=plan.revision, sizes=recipe.sizes, trained={**told, **ways}
    )
    return adapter_files.save(about, weights, parent)


def serve(plan: FieldPlan, folder: Path, settings: Settings) -> TrainedTexts:
    """The adapter, ready beside the warm writer of the field.

    Raises:
        ModelError: as ``engines.adapted.adapted``; or the adapter was not trained for a field that writes.
    """
    from labelloop.engines import adapter_files
    from labelloop.engines.adapted import made_ready
    from labelloop.engines.causal import Causal

    base = load(plan.engine, plan.model, plan.revision, settings)
    told: dict[str, Any] = dict(adapter_files.read(folder)[0].trained)
    way = told.get(_WAY)
    if not isinstance(base, Causal) or way not in ("alone", "chosen") or not isinstance(told.get(_LONGEST), int):
        raise ModelError(f"The adapter {folder} was not trained for writing.", "Train a new one.")
    writer = made_ready(base, folder, settings.adapter_memory << 20)
    return TrainedTexts(folder.name, writer, way, told[_LONGEST], told.get(_INTERCEPT))
