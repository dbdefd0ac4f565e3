"""Training an adapter of the encoder, so that a text comes near to the texts of its labels.

The loss is that of choosing: a softmax over the similarities between a text and what its field's labels mean (or, where
several may be chosen, the odds of each label by itself), beside the supervised contrast of texts with each other
(Khosla et al. 2020), from which few labels learn most (SetFit: Tunstall et al. 2022), hard negatives among them (texts
that are near to each other and have other labels; Xiong et al. 2021). The meanings of the labels stay
where the base model has them, so a label that was never trained on is found as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from labelloop.engines import Vectors
from labelloop.engines.adapters import MethodName, Sizes, attach, branch, named_layers, transformer_of
from labelloop.engines.batching import batches
from labelloop.engines.encoder import Encoder
from labelloop.engines.halves import Lower, Upper
from labelloop.engines.scale import Scale

WHOLE_MODEL = frozenset({"prompt_tuning", "prefix_tuning"})
"""Methods that change what all layers read, whatever ``Sizes.layers`` says."""

_NEAREST = 5
"""Texts with other labels among which a hard negative is drawn: the very nearest is often itself labelled wrong."""


class Recipe(BaseModel):
    """How an adapter is trained. ``rate``: the greatest step size, reached after a tenth of the steps and then falling
    to nothing. ``epochs``: how often each text is read, but at least ``fewest_steps`` are made, of ``batch`` texts
    each. ``contrast``: the weight of the contrast between texts, at ``temperature``. ``hard``: in which share of steps
    a text has one beside it that is near to it and has none of its labels. ``learn_slope``: that of the
    ``Scale`` is trained too. ``longest``: tokens of a text that are read in training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = "lora"
    sizes: Sizes = Sizes()
    rate: float = Field(3e-4, gt=0)
    epochs: float = Field(8, gt=0)
    fewest_steps: int = Field(64, ge=1)
    batch: int = Field(16, ge=2)
    dropout: float = Field(0.1, ge=0, lt=1)
    contrast: float = Field(0.5, ge=0)
    temperature: float = Field(0.05, gt=0)
    hard: float = Field(0.5, ge=0, le=1)
    learn_slope: bool = False
    longest: int = Field(128, ge=8)

    def steps(self, n_texts: int) -> int:
        return max(self.fewest_steps, math.ceil(self.epochs * n_texts / self.batch))


@dataclass
class Pupil:
    """An adapter in training. ``weights``: its own, which change as it goes on. ``slope``: of the scale, as given or as
    learnt so far. ``done`` of ``steps`` steps are made; ``loss``: of the last."""

    weights: dict[str, nn.Parameter]
    upper: Upper
    steps: int
    slope: float
    done: int = 0
    loss: float = math.nan


class Course:
    """Texts whose lower layers are read once, and adapters that are trained on some of them. What the lower layers gave
    is kept: as many numbers per token as the model is wide.

    Args:
        labels: (n_labels, d) what the labels mean, of length 1 (``Encoder.meanings``).
        several: whether a text may have several labels.
        vectors: (n_texts, d) of the texts, of length 1, by the encoder as it is, which tell which are near each other;
            without them there are no hard negatives.

    Raises:
        ModelError: the encoder has no layers to adapt.
    """

    def __init__(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        labels: Vectors,
        several: bool,
        recipe: Recipe,
        vectors: Vectors | None = None,
    ) -> None:
        self._near = vectors
        self._prepare(encoder, encoder.token_ids(texts, recipe.longest), labels, several, recipe)

    def _prepare(
        self, encoder: Encoder, ids: Sequence[Sequence[int]], labels: Vectors, several: bool, recipe: Recipe
    ) -> None:
        """Reads the lower layers; ``ids``: tokens of what is read at once."""
        self._model, self._budget = encoder.model, encoder.budget
        self._several, self.recipe, self._ids = several, recipe, ids
        count = len(list(named_layers(transformer_of(self._model))))
        touched = 0 if recipe.method in WHOLE_MODEL else recipe.sizes.layers
        self._frozen = max(0, count - touched) if touched else 0
        self._states = [torch.empty(0)] * len(ids)
        if self._frozen:
            self._states = Lower(self._model, self._frozen, self._budget).read(self._ids)
        self._labels = torch.from_numpy(labels).to(self._model.device)

    def steps(self, rows: Sequence[int]) -> int:
        """How many steps the recipe makes of these texts."""
        return self.recipe.steps(len(rows))

    def train(
        self, rows: Sequence[int], right: NDArray[np.bool_], scale: Scale, steps: int, seed: int = 0
    ) -> Iterator[Pupil]:
        """Gives the same pupil after each step; who does not ask for more stops the training. The same arguments make
        the same adapter, on one machine with one number of threads.

        Args:
            rows: of the texts. right: (n_rows, n_labels) their labels. One that none of them has is left out, so that
                texts are not moved away from what it means.

        Raises:
            ModelError: the method does not fit the encoder.
        """
        recipe, device = self.recipe, self._model.device
        model = branch(self._model)
        weights = attach(model, recipe.method, recipe.sizes, seed)
        change = torch.zeros((), device=device, requires_grad=recipe.learn_slope)  # of the slope's logarithm
        pupil = Pupil(weights, Upper(model, self._frozen, recipe.dropout), steps, scale.slope)
        trained = [*weights.values(), *([change] if recipe.learn_slope else [])]
        optimizer = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=0.0)
        target, taught = torch.from_numpy(right).to(device), torch.from_numpy(right.any(axis=0)).to(device)
        shift, constant = (torch.from_numpy(one).float().to(device) for one in (scale.shift, scale.constant))
        for batch in self._batches(rows, right, steps, seed):
            left = 1 - pupil.done / steps
            optimizer.param_groups[0]["lr"] = recipe.rate * min(1.0, (pupil.done + 1) / (0.1 * steps)) * left
            with pupil.upper.training(seed + pupil.done):
                vectors = self._vectors(pupil, [rows[place] for place in batch])
            own = vectors @ self._labels.T - shift
            odds = (
                scale.slope * change.exp() * own + scale.behind * (own - own.amax(dim=1, keepdim=True)) + scale.offset
            )
            goal = target[batch]
            odds = torch.where(constant.isnan(), odds, constant)
            loss = _choice(odds[:, taught], goal[:, taught], self._several)
            loss = loss + recipe.contrast * _contrast(vectors, goal, recipe.temperature)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            pupil.done, pupil.loss, pupil.slope = pupil.done + 1, loss.item(), scale.slope * change.exp().item()
            yield pupil

    def read(self, pupil: Pupil, rows: Sequence[int]) -> Vectors:
        """(n_rows, d) vectors of length 1 of texts by the adapter as it is, cut where training cuts them."""
        found = np.zeros((len(rows), self._labels.shape[1]), np.float32)
        with torch.no_grad():
            for batch in batches([len(self._ids[row]) for row in rows], self._budget):
                found[batch] = self._vectors(pupil, [rows[place] for place in batch]).cpu().numpy()
        return found

    def _batches(self, rows: Sequence[int], right: NDArray[np.bool_], steps: int, seed: int) -> Iterator[list[int]]:
        """Of each step the places in ``rows`` that it learns from."""
        rivals = None
        if self._near is not None and self.recipe.hard:
            rivals = _rivals(self._near[np.asarray(rows, np.intp)], right)
        return _batches(right, self.recipe.batch, steps, seed, rivals, self.recipe.hard)

    def _vectors(self, pupil: Pupil, rows: Sequence[int]) -> torch.Tensor:
        """In their order, though texts of like length are read together: else a step is half padding."""
        parts = list(batches([len(self._ids[row]) for row in rows], self._budget))
        each = [[rows[place] for place in part] for part in parts]
        read = [pupil.upper([self._ids[row] for row in its], [self._states[row] for row in its]) for its in each]
        order = torch.tensor([place for part in parts for place in part])
        return torch.cat(read)[order.argsort().to(read[0].device)]


def _rivals(vectors: Vectors, right: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """For each row those nearest to it that have none of its labels."""
    found = []
    for row, vector in enumerate(vectors):
        others = np.flatnonzero(~(right & right[row]).any(axis=1) & right.any(axis=1))
        nearest = np.argsort(-(vectors[others] @ vector), kind="stable")[:_NEAREST]
        found.append(others[nearest])
    return found


def _batches(
    right: NDArray[np.bool_],
    size: int,
    steps: int,
    seed: int,
    rivals: Sequence[NDArray[np.intp]] | None = None,
    hard: float = 0.0,
) -> Iterator[list[int]]:
    """The rows of each step. In half of the steps they come in turn, so that each text is read; in the other half each
    label is drawn as often as any other, so that rare ones are not drowned. After each row comes a partner with a label
    in common, where there is one, so that the contrast always has something to compare; and in a share ``hard`` of the
    steps one of its ``rivals``."""
    rng = np.random.default_rng([seed, 17])
    of_label = [rows for rows in (np.flatnonzero(column) for column in right.T) if len(rows)]
    turn: list[int] = []
    for _ in range(steps):
        batch: list[int] = []
        balanced = len(of_label) > 0 and rng.random() < 0.5
        beside = rivals if rivals is not None and rng.random() < hard else None
        while len(batch) < size:
            if balanced:
                row = int(rng.choice(of_label[rng.integers(len(of_label))]))
            else:
                turn = turn or [int(one) for one in rng.permutation(len(right))]
                row = turn.pop()
            batch.append(row)
            alike = np.flatnonzero((right & right[row]).any(axis=1))
            alike = alike[alike != row]
            if len(alike) and len(batch) < size:
                batch.append(int(rng.choice(alike)))
            if beside is not None and len(beside[row]) and len(batch) < size:
                batch.append(int(rng.choice(beside[row])))
        yield batch


def _choice(odds: torch.Tensor, goal: torch.Tensor, several: bool) -> torch.Tensor:
    if several:
        return nn.functional.binary_cross_entropy_with_logits(odds, goal.float())
    return nn.functional.cross_entropy(odds, goal.int().argmax(dim=1))


def _contrast(vectors: torch.Tensor, goal: torch.Tensor, temperature: float) -> torch.Tensor:
    """How unlike texts with equal labels are, against all texts of the batch (Khosla et al. 2020, their L_out)."""
    alone = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    alike = (goal.unsqueeze(1) == goal.unsqueeze(0)).all(dim=2) & ~alone
    has = alike.any(dim=1)
    if not has.any():
        return vectors.sum() * 0
    logs = (vectors @ vectors.T / temperature).masked_fill(alone, -1e9).log_softmax(dim=1)
    each = (logs * alike).sum(dim=1)[has] / alike.sum(dim=1)[has]
    return -each.mean()
