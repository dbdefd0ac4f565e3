"""What may follow a text, as a tree: continuations share their beginnings, and all of them are read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labelloop.engines import Vectors
from labelloop.engines.prefix import Ids, Prefixes, last


@dataclass(frozen=True)
class Tree:
    """The continuations of one text. Node 0 is the text's last token.

    ``tokens``, ``parents``: of nodes 1, 2, ...: what must be read; the last token of a continuation need not be.
    ``asked``: of each continuation (node, token) pairs: what is to be the probability of the token behind the node.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    asked: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def depths(self) -> list[int]:
        """How far each node lies behind the text's last token."""
        depths = [0]
        for parent in self.parents:
            depths.append(depths[parent] + 1)
        return depths[1:]

    def sees(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(n, n) which nodes each node has above it, itself included; of nodes 1, 2, ..."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent:
                seen[node] |= seen[parent - 1]
        return seen


def grow(continuations: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Tree:
    """The tree of (tokens that are given, tokens whose probability is asked) pairs."""
    nodes: dict[tuple[int, int], int] = {}
    tokens: list[int] = []
    parents: list[int] = []
    asked = []
    for given, scored in continuations:
        node, pairs = 0, []
        path = [*given, *scored]
        for place, token in enumerate(path):
            if place >= len(given):
                pairs.append((node, token))
            if place + 1 < len(path):
                if (node, token) not in nodes:
                    tokens.append(token)
                    parents.append(node)
                    nodes[node, token] = len(tokens)
                node = nodes[node, token]
        asked.append(tuple(pairs))
    return Tree(tuple(tokens), tuple(parents), tuple(asked))


@torch.inference_mode()
def read(
    model: Any, prefixes: Prefixes, prefix: Ids, texts: Sequence[Ids], trees: Sequence[Tree]
) -> list[list[Vectors]]:
    """Of each text, of each continuation in its tree, the log-probability of its asked tokens.

    One forward pass: the texts end at the same place, behind them lie their trees, in which each node sees the text and
    the nodes above it (as candidates are verified in speculative decoding, Miao et al. 2024). The caller holds the
    model's lock.

    Args:
        prefix: tokens that stand before all texts; they are read once.
        texts: the tokens of each behind it; at least one.
    """
    device, width, most = model.device, max(map(len, texts)), max(len(tree.tokens) for tree in trees)
    ids = np.zeros((len(texts), width + most), np.int64)
    places = np.zeros_like(ids)
    seen = np.zeros((len(texts), width + most, len(prefix) + width + most), bool)
    behind = seen[:, :, len(prefix) :]
    for row, (text, tree) in enumerate(zip(texts, trees, strict=True)):
        start, end, n = width - len(text), width, len(tree.tokens)
        ids[row, start:end] = text
        ids[row, end : end + n] = tree.tokens
        places[row, start:end] = np.arange(len(prefix), len(prefix) + len(text))
        places[row, end : end + n] = len(prefix) + len(text) - 1 + np.array(tree.depths, np.int64)
        seen[row, start : end + n, : len(prefix)] = True
        behind[row, start:end, start:end] = np.tri(len(text), dtype=bool)
        behind[row, end : end + n, start:end] = True
        behind[row, end : end + n, end : end + n] = tree.sees()
        for nobody in (range(start), range(end + n, end + most)):
            behind[row, nobody, nobody] = True  # padding looks at itself: a softmax over nothing is not a number
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill_(
        ~torch.from_numpy(seen), torch.finfo(model.dtype).min
    )
    logits = model(
        input_ids=torch.from_numpy(ids).to(device),
        attention_mask=mask[:, None].to(device),
        position_ids=torch.from_numpy(places).to(device),
        past_key_values=prefixes.cache(prefix, len(texts)),
        use_cache=bool(prefix),
        **last(model, most + 1),
    ).logits[:, -most - 1 :]
    return [_look_up(logits[row], tree) for row, tree in enumerate(trees)]


@torch.inference_mode()
def read_plainly(model: Any, texts: Sequence[Ids], trees: Sequence[Tree]) -> list[list[Vectors]]:
    """The same, each continuation in a row of its own and nothing shared: for models that take no trees."""
    found = []
    for text, tree in zip(texts, trees, strict=True):
        found.append([_plain_row(model, text, tree, pairs) for pairs in tree.asked])
    return found


def _plain_row(model: Any, text: Ids, tree: Tree, pairs: Sequence[tuple[int, int]]) -> Vectors:
    path: list[int] = []
    node = pairs[-1][0]
    while node:
        path.insert(0, tree.tokens[node - 1])
        node = tree.parents[node - 1]
    row = torch.tensor([[*text, *path]], device=model.device)
    logits = model(input_ids=row, use_cache=False, **last(model, len(pairs))).logits[0, -len(pairs) :]
    chances = torch.log_softmax(logits.float(), dim=-1)
    wanted = torch.tensor([token for _, token in pairs], device=model.device)
    return chances.gather(1, wanted[:, None])[:, 0].cpu().numpy().astype(np.float32)


def _look_up(logits: torch.Tensor, tree: Tree) -> list[Vectors]:
    """``logits``: (nodes, vocabulary) of a row."""
    flat = [pair for pairs in tree.asked for pair in pairs]
    nodes = torch.tensor([node for node, _ in flat], device=logits.device)
    tokens = torch.tensor([token for _, token in flat], device=logits.device)
    totals = torch.logsumexp(logits.float(), dim=-1)
    values = (logits[nodes, tokens].float() - totals[nodes]).cpu().numpy().astype(np.float32)
    cuts = np.cumsum([len(pairs) for pairs in tree.asked])[:-1]
    return list(np.split(values, cuts))
