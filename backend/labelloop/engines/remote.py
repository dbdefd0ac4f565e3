"""The remote engine: any OpenAI-compatible server (vLLM, TGI, llama.cpp, OpenAI). Imports no torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

import numpy as np

from labelloop.engines import Ask, Manner, Vectors, Written, engine, remote_rank, remote_write
from labelloop.engines.identity import UNNAMED, identify
from labelloop.engines.remote_budget import Budget
from labelloop.engines.remote_client import Client, Refusal
from labelloop.engines.remote_dialect import Dialect
from labelloop.engines.remote_text import estimate, size, windows
from labelloop.errors import ItemError, ModelError
from labelloop.settings import Settings

USUAL_CONTEXT = 8192
RESERVED = 1024  # tokens kept free beside a text for question and options
Thing = TypeVar("Thing")


class Trial(NamedTuple):
    """``left_out``: what the server did not understand, by the names of ``remote_dialect.CONCESSIONS``. ``spent``: the
    day's tokens."""

    model: str
    left_out: tuple[str, ...]
    spent: int


class Remote:
    """A model on a server: a Ranker and a Writer. The server is asked for nothing before the first use.

    Up to ``remote_concurrency`` requests run at once. One that the server refuses as it is raises ItemError when the
    others are done, whose replies are remembered: who then asks singly (as ``scoring.jobs`` does) pays nothing for
    them. What concerns all requests (server down, key, quota, budget) raises ModelError at once.
    """

    def __init__(self, client: Client, model: str, settings: Settings) -> None:
        self._client, self._model, self._settings = client, model, settings
        self._pool = ThreadPoolExecutor(settings.remote_concurrency, thread_name_prefix="remote")
        self._budget = Budget(settings.data_dir, settings.remote_tokens_per_day)
        self._known: tuple[Dialect, int] | None = None
        self._asking = threading.Lock()

    def rank(
        self, texts: Sequence[str], labels: Sequence[Sequence[str]], shown: Sequence[remote_rank.Shown] = ()
    ) -> Vectors:
        """(n_texts, n_labels) log-probability of each label among them all; ``remote_rank`` says how.

        Unlike with other engines a label's score depends on the labels beside it: they are options of one question.
        Texts that do not fit are read in windows whose scores are averaged, weighted by their tokens, as in ``beside``.

        Args:
            shown: demonstrations before every text; within ``spare`` they take none of a text's room.

        Raises:
            ValueError: a label has no verbalization.
            ItemError: the server refuses one of the texts.
            ModelError: the labels leave too little room for a text; or as ``write``.
        """
        if any(not verbalizations for verbalizations in labels):
            raise ValueError("every label needs at least one verbalization")
        if not texts or not labels:
            return np.zeros((len(texts), len(labels)), np.float32)
        asked = remote_rank.options(labels)
        room = self._room_for_text(self._frame(asked) + sum(self.shown_sizes(labels, shown)))
        parts = [(row, window) for row, text in enumerate(texts) for window in windows(text, room)]
        dialect = self._dialect
        scores = self._each(lambda part: remote_rank.score(dialect, asked, part[1].text, shown), parts)
        totals = np.zeros(len(texts), np.float32)
        np.add.at(totals, [row for row, _ in parts], [window.tokens for _, window in parts])
        merged = np.zeros((len(texts), len(asked.texts)), np.float32)
        for (row, window), its in zip(parts, scores, strict=True):
            merged[row] += its * (window.tokens / totals[row] if totals[row] else 1.0)
        return merged if len(labels) > 1 else merged[:, :1] - merged[:, 1:]  # against "none of these"

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        """As ``Writer.write``; ``remote_write`` says what a server makes of it.

        Raises:
            ItemError: the server refuses one of the asks, or a reply does not keep to the schema.
            ModelError: an ask does not fit; the server stays away, refuses the key, or lacks the model; or the day's
                token budget is spent.
        """
        if asks and (longest := max(self.sizes(asks)) + manner.max_tokens) > self.room:
            raise ModelError(
                f"An ask takes up to {longest} tokens with its reply, but {self._model} reads {self.room}.",
                "Shorten it, or set LABELLOOP_REMOTE_CONTEXT if the model reads more.",
            )
        dialect = self._dialect
        return self._each(lambda ask: remote_write.write(dialect, ask, manner), asks)

    def close(self) -> None:
        """Ends its threads and connections; an engine that is to serve on is never closed."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def sizes(self, asks: Sequence[Ask]) -> list[int]:
        """Tokens of each ask, at most: ``remote_text`` estimates them."""
        return [size(ask) for ask in asks]

    @property
    def room(self) -> int:
        """Most tokens of an ask and its reply together: the setting, or what the server says, the less of both."""
        return self._server[1]

    def spare(self, labels: Sequence[Sequence[str]]) -> int:
        """Most tokens of demonstrations beside these labels that take none of a text's room; may be below 0."""
        return min(RESERVED, self.room // 2) - self._frame(remote_rank.options(labels))

    def shown_sizes(self, labels: Sequence[Sequence[str]], shown: Sequence[remote_rank.Shown]) -> list[int]:
        """Tokens of each demonstration beside these labels, at most."""
        frame = self._frame(remote_rank.options(labels))
        return [frame + size(Ask((("user", text), ("assistant", "A")))) for text, _ in shown]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [estimate(text) for text in texts]

    def windows(self, texts: Sequence[str]) -> list[int]:
        room = self._room_for_text(0)
        return [len(windows(text, room)) for text in texts]

    def trial(self) -> Trial:
        """What the server does with a small question. Raises as ``rank``."""
        self.rank(["The parcel never arrived."], [["delivery"], ["astronomy"]])
        return Trial(self._dialect.model, tuple(sorted(self._dialect.refused)), self._budget.spent())

    def _frame(self, asked: remote_rank.Options) -> int:
        """Most tokens of a question without its text."""
        longest = sorted(asked.texts, key=estimate)[-len(remote_rank.LETTERS) :]
        return size(remote_rank.prompt(asked.question, longest, ""))

    def _room_for_text(self, frame: int) -> int:
        room = self.room - max(frame, min(RESERVED, self.room // 2))
        if room < self.room // 8:
            raise ModelError(
                f"Question and labels take up to {frame} tokens, but {self._model} reads {self.room} in all.",
                "Shorten the labels' hints, or choose a model that reads more (LABELLOOP_REMOTE_CONTEXT).",
            )
        return room

    def _each(self, work: Callable[[Any], Thing], things: Sequence[Any]) -> list[Thing]:
        """``work`` of each, in order, several at once. Raises the first ItemError when all are done, other errors at
        once."""

        def one(thing: Any) -> Thing | ItemError:
            try:
                return work(thing)
            except ItemError as error:
                return error

        tasks: list[Future[Thing | ItemError]] = [self._pool.submit(one, thing) for thing in things]
        try:
            wait(tasks, return_when=FIRST_EXCEPTION)
            failed = next((task for task in tasks if task.done() and task.exception()), None)
            found = [task.result() for task in ([failed] if failed else tasks)]
        finally:
            for task in tasks:
                task.cancel()
        done: list[Thing] = []
        for result in found:
            if isinstance(result, ItemError):
                raise result
            done.append(result)
        return done

    @property
    def _dialect(self) -> Dialect:
        return self._server[0]

    @property
    def _server(self) -> tuple[Dialect, int]:
        """The model as the server knows it, and its context: asked once, when it is needed."""
        with self._asking:
            if self._known is None:
                model, context = self._look()
                self._known = Dialect(self._client, model, self._budget), context
            return self._known

    def _look(self) -> tuple[str, int]:
        """The model's name and context. A server that lists no models is believed to have the one that is named."""
        wanted = self._settings.remote_context or USUAL_CONTEXT
        try:
            listed = listing(self._client)
        except Refusal as refusal:
            if self._model == UNNAMED:
                raise ModelError(
                    f"The remote model's server {self._client.url} does not list its models ({refusal}).",
                    "Set LABELLOOP_REMOTE_MODEL, and LABELLOOP_REMOTE_URL if it is wrong: most end with /v1.",
                ) from refusal
            return self._model, wanted
        if self._model == UNNAMED and not listed:
            raise ModelError(
                f"The remote model's server {self._client.url} lists no model.", "Set LABELLOOP_REMOTE_MODEL."
            )
        model = next(iter(listed)) if self._model == UNNAMED else self._model
        offered = listed.get(model) or 0
        return model, min(self._settings.remote_context or offered, offered) if offered else wanted


def listing(client: Client) -> dict[str, int]:
    """The models that the server lists, with the tokens that each reads (vLLM and llama.cpp tell; else 0).

    Raises:
        Refusal: it has no such list.
        ModelError: as ``Client.get``; or the list is something else.
    """
    body = client.get("/models")
    try:
        found = {}
        for one in body["data"]:
            context = one.get("max_model_len") or (one.get("meta") or {}).get("n_ctx") or 0
            found[str(one["id"])] = int(context)
        return found
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{client.url}/models is not a list of models.", "Set LABELLOOP_REMOTE_URL: most end with /v1."
        ) from error


def connect(settings: Settings, retries: int | None = None) -> Client:
    """
    Raises:
        ModelError: no server is configured, or the key cannot be sent.
    """
    if not settings.remote_url:
        raise ModelError(
            "The engine remote has no server.", "Set LABELLOOP_REMOTE_URL, for example to http://localhost:8000/v1."
        )
    key = settings.remote_key.get_secret_value() or os.environ.get("OPENAI_API_KEY", "")
    asked_again = settings.remote_retries if retries is None else retries
    return Client(settings.remote_url, key, settings.remote_timeout_s, asked_again, settings.remote_concurrency)


@engine("remote")
def load(model: str, revision: str, settings: Settings) -> Remote:
    """A model on the server of the setting ``remote_url``; nothing is asked of it yet.

    Raises:
        ModelError: no server is configured, or it is not the one of ``revision``.
    """
    now = identify(model, "", "remote", settings)
    if revision and now != revision:
        raise ModelError(
            f"The remote model is now {now}, but this version was made with {revision}.",
            "Set LABELLOOP_REMOTE_URL back, or run `labelloop connect` again: it makes a version with the new one.",
        )
    return Remote(connect(settings), model or UNNAMED, settings)
