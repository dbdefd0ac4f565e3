"""Training an adapter of a causal model on accepted replies: to write behind an ask what people accepted there.

The loss is that of the reply's words alone; the ask is read, not learned. Frozen lower layers read each text once, and
what they gave is kept (``halves``); the steps are those of transformers' ``Trainer``, so under ``accelerate launch``
they are shared by several GPUs or machines (``train_causal``).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from labelloop.engines import Ask
from labelloop.engines.adapters import MethodName, Sizes, attach, branch, named_layers
from labelloop.engines.batching import batches
from labelloop.engines.causal import Causal
from labelloop.engines.halves import Stop, begin_at, stop_before
from labelloop.engines.prefix import last

MOST_STATES = 1 << 30
"""Bytes of what lower layers gave that are kept; where it would be more, each step reads all layers."""
_MARGIN = 0.8  # of the time that is left, what the epochs are planned for
_LEAST_SHARE = 0.25  # of the lessons, below which there is nothing to be learned in time
_PASSES = 3  # what a step costs, in passes forward
_IGNORED = -100


class Lesson(NamedTuple):
    """``reply``: what is to be written behind the ask, from where ``ask.begun`` ends."""

    ask: Ask
    reply: str


class Recipe(BaseModel):
    """How an adapter is trained. ``rate``: the greatest step size, reached after a tenth of the steps and then falling
    to nothing. ``epochs``: how often each lesson is read; of them the best is kept by the lessons that are left out.
    ``batch``: lessons of a step, ``at_once`` of which are in memory together. ``longest``: tokens of an ask and its
    reply; what is longer is not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = "lora"
    sizes: Sizes = Sizes(layers=8, rank=16, alpha=32)
    rate: float = Field(1e-3, gt=0)
    epochs: int = Field(3, ge=1)
    batch: int = Field(8, ge=1)
    at_once: int = Field(4, ge=1)
    longest: int = Field(1024, ge=8)


@dataclass(frozen=True)
class Taught:
    """``weights``: of the adapter, by name, as they were after the best epoch; none where no epoch was better than
    none. ``losses``: of a left-out reply's token, in nats: before, and after each epoch. ``epoch``: the best; 0: none.
    ``lessons``: how many it learned from. ``late``: time was over before the planned epochs were."""

    weights: dict[str, torch.Tensor]
    losses: tuple[float, ...]
    epoch: int
    lessons: int = 0
    late: bool = False


class _Line(NamedTuple):
    ids: tuple[int, ...]
    reply: int  # how many of the last tokens are the reply's


class Course:
    """Lessons in tokens, and adapters that are trained on some of them.

    Raises:
        ModelError: the model's layers cannot be told, or its template does not take the messages.
    """

    def __init__(self, causal: Causal, lessons: Sequence[Lesson], recipe: Recipe) -> None:
        self._model, self.recipe = causal.model, recipe
        told = causal.told([one.ask for one in lessons], [one.reply for one in lessons])
        self._lines = [_Line((*ask, *reply), len(reply)) for ask, reply in told]
        longest = min(recipe.longest, causal.room)
        self.fits = [len(one.ids) <= longest for one in self._lines]
        """Whether each lesson is short enough to be trained on; others may not be given to ``train``."""
        self._budget, self._frozen = causal.budget, self._border()
        self._states: dict[int, torch.Tensor] = {}

    def train(
        self,
        rows: Sequence[int],
        left_out: Sequence[int],
        watch: Callable[[float], None] = lambda share: None,
        seconds: float = math.inf,
        seed: int = 0,
    ) -> Taught:
        """Trains on some of the lessons. The same arguments make the same adapter, on one machine with one number of
        threads and where time does not run short.

        Args:
            rows: of the lessons that are learned. left_out: of others, by which the epoch is chosen.
            watch: hears which share of the work is done, after each step; what it raises ends the training.
            seconds: for all of it, of one process. Fewer epochs are planned where it is short, then only the last of
                the rows; none is an answer too.

        Raises:
            ModelError: the method does not fit the model.
        """
        began = time.monotonic()
        pupil = _Pupil(self._model, self.recipe, self._frozen, seed)
        self._read_below(left_out, watch)
        examined = [self._item(row) for row in left_out]
        losses = [pupil.loss_of(examined, self.recipe.at_once)]
        rows, epochs = self._fitting(rows, left_out, time.monotonic() - began, seconds)
        if not epochs:
            return Taught({}, tuple(losses), 0, late=True)
        self._read_below(rows, watch)
        keeper = _Keeper(pupil, examined, self.recipe.at_once, losses, watch, began + seconds)
        steps = math.ceil(len(rows) / self.recipe.batch)
        with tempfile.TemporaryDirectory() as nowhere, torch.random.fork_rng(devices=_cuda(self._model)):
            told = TrainingArguments(
                output_dir=nowhere,
                num_train_epochs=epochs,
                learning_rate=self.recipe.rate,
                lr_scheduler_type="linear",
                warmup_steps=steps * epochs // 10,
                weight_decay=0.0,
                max_grad_norm=1.0,
                per_device_train_batch_size=min(self.recipe.at_once, self.recipe.batch),
                gradient_accumulation_steps=max(1, self.recipe.batch // self.recipe.at_once),
                train_sampling_strategy="group_by_length",
                seed=seed,
                use_cpu=self._model.device.type == "cpu",
                remove_unused_columns=False,
                dataloader_pin_memory=False,
                disable_tqdm=True,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
            )
            told._n_gpu = min(1, told.n_gpu)  # several GPUs of one process would share one pupil's states
            trainer = Trainer(pupil, told, _together, [self._item(row) for row in rows], callbacks=[keeper])
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return Taught(keeper.best, tuple(losses), keeper.epoch, len(rows), keeper.late)

    def _border(self) -> int:
        """How many of the lower layers stay as they are and need be read only once."""
        count, touched = len(list(named_layers(self._model))), self.recipe.sizes.layers
        config = self._model.config.get_text_config()
        kept = sum(len(one.ids) for one, fits in zip(self._lines, self.fits, strict=True) if fits)
        size = kept * config.hidden_size * self._model.dtype.itemsize
        return max(0, count - touched) if touched and size <= MOST_STATES else 0

    def _read_below(self, rows: Sequence[int], watch: Callable[[float], None]) -> None:
        """Keeps what the frozen layers give for these lessons, if they have not read them yet."""
        rows = [row for row in rows if row not in self._states] if self._frozen else []
        model = branch(self._model)
        seen: list[torch.Tensor] = []
        stop_before(list(named_layers(model))[self._frozen][1], seen.append)
        for batch in batches([len(self._lines[row].ids) for row in rows], self._budget):
            watch(0.0)
            its = [self._item(rows[place]) for place in batch]
            with torch.no_grad(), suppress(Stop):
                read = _together(its)
                del read["labels"]
                model(**{name: one.to(model.device) for name, one in read.items()}, use_cache=False)
            for place, states in zip(batch, seen.pop(), strict=True):
                row = rows[place]
                self._states[row] = states[len(states) - len(self._lines[row].ids) :].clone()

    def _item(self, row: int) -> dict[str, Any]:
        line = self._lines[row]
        item: dict[str, Any] = {"input_ids": line.ids, "reply": line.reply}
        return item | ({"states": self._states[row]} if row in self._states else {})

    def _fitting(
        self, rows: Sequence[int], left_out: Sequence[int], took: float, seconds: float
    ) -> tuple[Sequence[int], int]:
        """Of which lessons how many epochs fit into the time, by what it took to read those that are left out."""
        if seconds == math.inf:
            return rows, self.recipe.epochs
        size, other = (sum(len(self._lines[row].ids) for row in some) for some in (rows, left_out))
        each = took / max(1, other)  # seconds a token, all layers
        upper = 1 - self._frozen / len(list(named_layers(self._model)))
        first, epoch = each * (1 - upper) * size, each * upper * (_PASSES * size + other)
        left = _MARGIN * (seconds - took)
        epochs = int((left - first) / max(epoch, 1e-9))
        if epochs > 0:
            return rows, min(self.recipe.epochs, epochs)
        share = left / (first + epoch)
        return (rows[-int(share * len(rows)) :], 1) if share >= _LEAST_SHARE else ([], 0)


class _Pupil(nn.Module):
    """A branch of the model with an adapter in training, whose layers below the border hand on what was kept."""

    accepts_loss_kwargs = True  # the Trainer then says how many tokens a whole step has

    def __init__(self, model: Any, recipe: Recipe, frozen: int, seed: int) -> None:
        super().__init__()
        self.model = branch(model)
        self.own = attach(self.model, recipe.method, recipe.sizes, seed)
        self._states = torch.empty(0)
        if frozen:
            shortest = torch.tensor([[0]], device=model.device)
            layers = [layer for _, layer in named_layers(self.model)]
            begin_at(layers, frozen, lambda: self._states, lambda: self.model(input_ids=shortest, use_cache=False))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        labels: torch.Tensor,
        states: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """{"loss": of the replies, in nats a token}; ``labels``: (rows, w) of the last w places."""
        if states is not None:
            self._states = states
        width = labels.shape[1]
        found = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=False,
            **last(self.model, width + 1),
        )
        logits = found.logits[:, -width - 1 : -1].float()
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED, reduction="sum"
        )
        return {"loss": loss / ((labels != _IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}

    @torch.no_grad()
    def loss_of(self, items: Sequence[dict[str, Any]], at_once: int) -> float:
        """Of a token of all replies together, in nats; without dropout."""
        device, was = self.model.device, self.training
        self.eval()
        total = count = 0.0
        order = sorted(range(len(items)), key=lambda place: len(items[place]["input_ids"]))
        for first in range(0, len(order), at_once):
            read = _together([items[place] for place in order[first : first + at_once]])
            its = self(**{name: one.to(device) for name, one in read.items()}, num_items_in_batch=1)
            total, count = total + float(its["loss"]), count + int((read["labels"] != _IGNORED).sum())
        self.train(was)
        return total / max(1.0, count)


class _Keeper(TrainerCallback):  # type: ignore[misc]
    """Looks at each epoch's end how likely the left-out replies are, keeps the best adapter, and ends what gets worse
    or late."""

    def __init__(
        self,
        pupil: _Pupil,
        examined: Sequence[dict[str, Any]],
        at_once: int,
        losses: list[float],
        watch: Callable[[float], None],
        until: float,
    ) -> None:
        self._pupil, self._examined, self._at_once = pupil, examined, at_once
        self._losses, self._watch, self._until = losses, watch, until
        self.best: dict[str, torch.Tensor] = {}
        self.epoch, self.late = 0, False

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._watch(min(1.0, state.global_step / max(1, state.max_steps)))
        if time.monotonic() > self._until:
            self.late = control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.late:
            return  # an epoch that was not ended
        self._losses.append(self._pupil.loss_of(self._examined, self._at_once) if self._examined else 0.0)
        if not self._examined or self._losses[-1] < min(self._losses[:-1]):
            self.epoch = len(self._losses) - 1
            self.best = {name: weight.detach().clone() for name, weight in self._pupil.own.items()}
        else:
            control.should_training_stop = True


def _together(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Items as one batch, padded on the left: their replies end together, so logits are computed there alone."""
    width, reply = max(len(one["input_ids"]) for one in items), max(one["reply"] for one in items)
    ids, mask = torch.zeros(len(items), width, dtype=torch.long), torch.zeros(len(items), width, dtype=torch.long)
    labels = torch.full((len(items), reply), _IGNORED)
    for row, one in enumerate(items):
        its = torch.tensor(one["input_ids"])
        ids[row, width - len(its) :], mask[row, width - len(its) :] = its, 1
        labels[row, reply - one["reply"] :] = its[len(its) - one["reply"] :]
    found = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    found["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    if "states" in items[0]:
        pad = [nn.functional.pad(one["states"], (0, 0, width - len(one["states"]), 0)) for one in items]
        found["states"] = torch.stack(pad)
    return found


def _cuda(model: Any) -> list[torch.device]:
    return [model.device] if model.device.type == "cuda" else []
