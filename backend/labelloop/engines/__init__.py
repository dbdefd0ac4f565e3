"""Pretrained models behind the verbs of the design. ``load`` is the one way in; torch is imported only there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from labelloop.errors import ModelError
from labelloop.settings import EngineName, Settings

Vectors = NDArray[np.float32]


class Ranker(Protocol):
    """An engine that says how well labels fit texts: all that choosing among labels needs."""

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> Vectors:
        """(n_texts, n_labels) how well each label, given by one or more verbalizations, fits each text.

        Rows keep the order of ``texts``; no number depends on other texts or labels but in its rounding. More is
        better; the unit is the engine's own (cosine, log-odds, log-probability), of which ``tasks.calibration`` makes
        probabilities. ``causal`` takes also ``lead``, which stands before every text, and ``remote`` demonstrations as
        ``shown``; ``spare`` of both says how many tokens these may have.
        """
        ...

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones included: what its cost is measured by."""
        ...

    def windows(self, texts: Sequence[str]) -> list[int]:
        """Into how many windows each text is cut to be read whole; 1 for a text that fits."""
        ...


class Engine(Ranker, Protocol):
    """An engine that reads a text by itself, once for all labels."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n_texts, d) vectors of length 1."""
        ...

    def against(self, vectors: Vectors, labels: Sequence[Sequence[str]]) -> Vectors:
        """What ``rank`` says of the texts that ``embed`` gave these vectors for."""
        ...


class Tokens(NamedTuple):
    """A text as a model reads it. ``offsets``: (n_tokens, 2) characters of the text, end exclusive, special tokens left
    out. ``vectors``: (n_tokens, d) what a layer of the model says of each token in its context."""

    offsets: NDArray[np.int32]
    vectors: Vectors


class ContextEngine(Engine, Protocol):
    """An engine that also tells what each token means in its context: what spans are found with."""

    def tokens(self, texts: Sequence[str], depth: float = 1.0) -> list[Tokens]:
        """Per text its tokens, in order; every one is read, in windows where the text is long. ``depth``: of the layer,
        1.0 the last, 0.5 the middle one."""
        ...


class SpanEngine(Protocol):
    """An engine that finds spans by itself (GLiNER)."""

    def spans(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[tuple[int, int, int, float]]]:
        """Per text (start, end, index into ``labels``, probability) of passages, in characters, end exclusive."""
        ...


class Ask(NamedTuple):
    """What a writer is asked. ``messages``: (role, content), roles "system", "user" and "assistant". ``begun``: the
    first words of the reply, which the writer goes on from; they are no part of ``Written.text``.

    Contents are plain text: what looks like a special token in them is read as the characters that it is.
    """

    messages: tuple[tuple[str, str], ...]
    begun: str = ""


class Manner(NamedTuple):
    """How to write. ``max_tokens``: of a reply. ``stop``: strings that end it and are left out. ``schema``: a JSON
    schema, as JSON, that the reply keeps to; "" for free text. ``samples``: 1 is greedy; more are candidates, the first
    greedy, the others drawn at ``temperature`` from a seed that depends on the ask alone."""

    max_tokens: int = 128
    stop: tuple[str, ...] = ()
    schema: str = ""
    samples: int = 1
    temperature: float = 0.7


class Written(NamedTuple):
    """A reply. ``logprob``: mean natural log-probability of its tokens, the one that ends it included, at temperature 1
    (Murray and Chiang 2018 normalise by length so). ``finished``: it ended by itself or at a stop string."""

    text: str
    logprob: float
    tokens: int
    finished: bool


class Writer(Protocol):
    """An engine that writes."""

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        """Per ask ``manner.samples`` candidates, equal ones included; no reply depends on other asks.

        Raises:
            ItemError: an ask and ``max_tokens`` do not fit into the model's context: callers cut texts by ``sizes``
                and ``room``; nothing is cut silently. Or a server refuses one ask.
        """
        ...

    def sizes(self, asks: Sequence[Ask]) -> list[int]:
        """Tokens of each ask as the model reads it; of a remote model an upper estimate."""
        ...

    @property
    def room(self) -> int:
        """Most tokens of an ask and its reply together."""
        ...


class Judge(Writer, Protocol):
    """A writer that also says how likely given replies are."""

    def judge(self, asks: Sequence[Ask], replies: Sequence[Sequence[str]]) -> list[Vectors]:
        """Per ask (n_replies,) mean log-probability of the tokens of each reply, the one that ends it included. What an
        ask's replies share is computed once."""
        ...


Loader = Callable[[str, str, Settings], Any]
ENGINES: dict[str, Loader] = {}
NAMES: tuple[str, ...] = get_args(EngineName)
"""Engines by the name of their module here, which registers itself when it is first used: most import torch."""
_warm: dict[tuple[str, ...], Any] = {}
_loading = threading.Lock()


def engine(name: str) -> Callable[[Loader], Loader]:
    """Registers a loader ``(model, revision, settings) -> engine`` under ``name``."""

    def register(loader: Loader) -> Loader:
        ENGINES[name] = loader
        return loader

    return register


def load(name: str, model: str, revision: str, settings: Settings) -> Any:
    """The engine with its weights in memory; the first call loads them, later ones return the same object.

    What it can do is one of the protocols above: ``encoder`` is a ContextEngine, ``crossencoder`` and ``cloze`` are
    Rankers, ``gliner`` is a SpanEngine, ``causal`` is a Ranker and a Judge, ``remote`` is a Ranker and a Writer.

    Args:
        name: one of ``NAMES``.
        model: "starter", a folder, or a Hugging Face id.
        revision: what ``engines.identity.identify`` said of the model when the plan was made.

    Raises:
        ModelError: the engine is unknown, or the model is missing, unsafe, or no longer the one of ``revision``.
    """
    # torch's threads spin while they wait for each other, which halves the throughput of a small machine as soon as
    # web, Redis or Label Studio need a core too; this is read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if name not in ENGINES and name not in NAMES:
        raise ModelError(f"There is no engine {name!r}.", f"Known engines: {', '.join(NAMES)}.")
    key = (name, model, revision, settings.device, settings.quantize)
    with _loading:
        if name not in ENGINES:
            import_module(f"labelloop.engines.{name}")
        if key not in _warm:
            _warm[key] = ENGINES[name](model, revision, settings)
        return _warm[key]
