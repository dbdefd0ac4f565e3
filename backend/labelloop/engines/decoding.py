"""The decoding loop: batches of asks, token by token, until every reply has ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from labelloop.engines import Ask, Manner, Written
from labelloop.engines.chat import Chat
from labelloop.engines.grammar import Guide
from labelloop.engines.prefix import Ids, Prefixes, last


@dataclass
class Reply:
    """A reply in the making. ``random``: None for the greedy one."""

    ask: Ask
    random: np.random.Generator | None
    guide: Guide | None
    ids: list[int] = field(default_factory=list)
    total: float = 0.0
    text: str = ""
    ended: bool = False

    def written(self) -> Written:
        """White space around a whole reply is left out; one that goes on from ``begun`` keeps it."""
        text = self.text if self.ask.begun else self.text.strip()
        return Written(text, self.total / max(1, len(self.ids)), len(self.ids), self.ended)


def replies(ask: Ask, manner: Manner, guide: Callable[[Ask], Guide] | None) -> list[Reply]:
    """The candidates of an ask, the first greedy; the others' seeds come from the ask and their place."""
    seed = int.from_bytes(hashlib.sha256(repr((ask.messages, ask.begun)).encode("utf-8", "replace")).digest()[:8])
    return [
        Reply(ask, np.random.default_rng([seed, place]) if place else None, guide(ask) if guide else None)
        for place in range(manner.samples)
    ]


class Decoder:
    """One model's loop. The caller holds its lock."""

    def __init__(self, model: Any, chat: Chat, prefixes: Prefixes, pad: int) -> None:
        self._model, self._chat, self._prefixes, self._pad = model, chat, prefixes, pad

    @torch.inference_mode()
    def run(self, prefix: Ids, rows: Sequence[Sequence[int]], each: Sequence[Sequence[Reply]], manner: Manner) -> None:
        """Completes the replies.

        Args:
            prefix: tokens that stand before all rows.
            rows: of each ask the others, at least one.
            each: of each ask its replies.
        """
        device = self._model.device
        width = max(map(len, rows))
        ids = torch.tensor([[self._pad] * (width - len(row)) + list(row) for row in rows], device=device)
        seen = torch.tensor([[1] * len(prefix) + [0] * (width - len(row)) + [1] * len(row) for row in rows]).to(device)
        places = (seen.cumsum(1) - 1).clamp(min=0)[:, len(prefix) :]
        logits, cache = self._step(ids, seen, places, self._prefixes.cache(prefix, len(rows)))
        alive = [reply for its in each for reply in its]
        if len(alive) > len(rows):
            repeats = torch.tensor([index for index, its in enumerate(each) for _ in its], device=device)
            logits, seen, places = logits[repeats], seen[repeats], places[repeats]
            cache.batch_select_indices(repeats)
        places = places[:, -1:]
        for left in reversed(range(manner.max_tokens)):
            chosen = self._choose(logits, alive, manner)
            if not left or all(reply.ended for reply in alive):
                break
            going = [index for index, reply in enumerate(alive) if not reply.ended]
            if len(going) * 2 <= len(alive):  # to leave out fewer would cost more than it saves
                kept = torch.tensor(going, device=device)
                chosen, seen, places = chosen[kept], seen[kept], places[kept]
                cache.batch_select_indices(kept)
                alive = [alive[index] for index in going]
            places = places + 1
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
            logits, cache = self._step(chosen[:, None], seen, places, cache)

    def _step(self, ids: Any, seen: Any, places: Any, cache: Any) -> tuple[torch.Tensor, Any]:
        """(rows, vocabulary) logits of what comes next."""
        found = self._model(
            input_ids=ids,
            attention_mask=seen,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            **last(self._model, 1),
        )
        return found.logits[:, -1].float(), found.past_key_values

    def _choose(self, logits: torch.Tensor, alive: Sequence[Reply], manner: Manner) -> torch.Tensor:
        """(rows,) the next token of each reply, which it notes."""
        chances = torch.log_softmax(logits, dim=-1)
        for row, reply in enumerate(alive):
            if reply.guide is not None and not reply.ended:
                logits[row].masked_fill_(~reply.guide.allowed().to(logits.device), -torch.inf)
        chosen = logits.argmax(dim=-1)
        for row, reply in enumerate(alive):
            if reply.random is not None and not reply.ended:
                chosen[row] = _draw(logits[row], manner.temperature, reply.random)
        noted = chances.gather(1, chosen[:, None])[:, 0].tolist()
        for reply, token, chance in zip(alive, chosen.tolist(), noted, strict=True):
            if not reply.ended:
                self._note(reply, token, chance, manner)
        return chosen

    def _note(self, reply: Reply, token: int, chance: float, manner: Manner) -> None:
        reply.ids.append(token)
        reply.total += chance
        if reply.guide is not None:
            reply.guide.accept(token)
        if token in self._chat.ends:
            reply.text, reply.ended = self._chat.text(reply.ids[:-1]), True
            return
        stops = (*manner.stop, *self._chat.stop)
        if stops or len(reply.ids) == manner.max_tokens:
            reply.text = self._chat.text(reply.ids)
            found = [place for stop in stops if stop and (place := reply.text.find(stop)) >= 0]
            if found:
                reply.text, reply.ended = reply.text[: min(found)], True


def _draw(logits: torch.Tensor, temperature: float, random: np.random.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    weights = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1).cpu().numpy()
    return min(int(np.searchsorted(weights, random.random() * weights[-1], side="right")), len(weights) - 1)
