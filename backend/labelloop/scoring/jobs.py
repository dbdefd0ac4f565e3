"""What RQ calls in a worker: drains a stream of items, calibrates a bundle, takes a step of a push, reads labels."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from rq.timeouts import BaseTimeoutException

from labelloop import logs, tasks
from labelloop.errors import LabelLoopError, ModelError, SettingsError
from labelloop.learning.refreshes import Trigger
from labelloop.scoring import cache, tickets, wire
from labelloop.scoring.measured import BATCH, FILL, ITEMS, SERVICE, TOKENS
from labelloop.scoring.pace import Pace, cost, order
from labelloop.scoring.wire import ZERO_SHOT, Epoch
from labelloop.scoring.workplace import Item, Workplace, here
from labelloop.words import Answer, Bundle

log = logging.getLogger(__name__)

_READ_AHEAD = {"interactive": 32, "predict": 256}  # items per read, of all requests together
_TURN_S = 5.0  # after so long, another bundle of the same lane has its turn
_paces: dict[float, Pace] = {}


def _pace(place: Workplace) -> Pace:
    target = float(place.settings.micro_batch_ms)
    return _paces.setdefault(target, Pace(target))


def drain(lane: str, digest: str) -> None:
    """Scores what waits in the stream of this lane and bundle, until it is empty."""
    place = here()
    ticket = wire.TICKET.format(lane=lane, digest=digest)
    stream = wire.STREAM.format(lane=lane, digest=digest)
    started = time.monotonic()
    while items := place.read(lane, stream, ticket, _READ_AHEAD[lane]):
        try:
            with logs.working([item.request for item in items]):
                _score(place, lane, digest, stream, items)
        finally:
            place.give_back(stream, place.held(stream))
        if place.stopping.is_set():
            tickets.issue(place.redis, lane, digest)
            return
        if time.monotonic() - started > _TURN_S and place.redis.llen(wire.rq_list(lane)):
            tickets.issue(place.redis, lane, digest)
            return


def _score(place: Workplace, lane: str, digest: str, stream: str, items: list[Item]) -> None:
    """Answers ``items``; equal ones are scored once."""
    began, asked = time.perf_counter(), len(items)
    deadly = [item for item in items if item.deliveries > wire.MOST_DELIVERIES]
    if deadly:
        place.measured.add(ITEMS, lane, "refused", by=len(deadly))
        _refuse(place, digest, stream, deadly, "Workers died while they scored it.")
        items = [item for item in items if item.deliveries <= wire.MOST_DELIVERIES]
    bundle = place.bundle(digest)
    if bundle is None:
        place.measured.add(ITEMS, lane, "refused", by=len(items))
        _refuse(place, digest, stream, items, "The version's definition was lost with Redis; ask again.")
        return
    if lane != "interactive":  # there, whoever asks has looked a moment ago
        items = _answer_known(place, bundle, digest, stream, items)
        place.measured.add(ITEMS, lane, "cached", by=asked - len(deadly) - len(items))
    for epoch, its in _by_connection(items):
        groups: dict[tuple[tuple[str, str], ...], list[Item]] = {}
        for item in its:
            groups.setdefault(tuple(item.texts.items()), []).append(item)
        todo = sorted(groups.values(), key=lambda group: order(group[0].texts))

        def write(start: int, answers: list[list[Answer]], todo: list[list[Item]] = todo) -> None:
            _write_groups(place, bundle, digest, stream, todo[start : start + len(answers)], answers)

        requests = [[item.request for item in group] for group in todo]
        score_in_batches(place, bundle, digest, [group[0].texts for group in todo], lane, write, epoch, requests)
    ms = round((time.perf_counter() - began) * 1000)
    told = {"lane": lane, "items": asked, "ms": ms}
    log.info("%(lane)s: %(items)d items in %(ms)d ms", told, extra={"fields": told})


def _by_connection(items: Sequence[Item]) -> list[tuple[Epoch, list[Item]]]:
    """The items whose labels are of one connection together, with the latest epoch that one of them asks for."""
    found: dict[int, list[Item]] = {}
    for item in items:
        found.setdefault(item.epoch.connection if item.epoch.number else 0, []).append(item)
    return [(max(item.epoch for item in its), its) for its in found.values()]


def _answer_known(place: Workplace, bundle: Bundle, digest: str, stream: str, items: list[Item]) -> list[Item]:
    """Answers from the cache what it has by now; returns the others."""
    names = [cache.keys(bundle, digest, item.epoch, item.texts) for item in items]
    known = iter(cache.get(place.redis, [name for some in names for name in some]))
    found = [[answer for _ in some if (answer := next(known))] for some in names]
    complete = {index: some for index, some in enumerate(found) if len(some) == len(names[index])}
    if complete:
        _write(place, None, digest, stream, [items[index] for index in complete], list(complete.values()))
    return [item for index, item in enumerate(items) if index not in complete]


def score_in_batches(
    place: Workplace,
    bundle: Bundle,
    digest: str,
    texts: Sequence[Mapping[str, str]],
    lane: str,
    write: Callable[[int, list[list[Answer]]], None],
    epoch: Epoch = ZERO_SHOT,
    requests: Sequence[Sequence[str]] = (),
) -> int:
    """Scores ``texts``, which are sorted by ``pace.order``, in micro-batches of the same fields; more urgent lanes are
    served in between.

    ``write(start, answers)`` is called after each micro-batch. ``requests``: by text who asks for it, for the log.
    Returns how many were scored: fewer than all when the worker has to stop.
    """
    if texts:
        place.fetch(bundle)
    memories = place.memories(bundle, digest, epoch) if texts else {}
    pace = _pace(place)
    least = tasks.at_once(bundle, place.settings)
    costs = [cost(item) for item in texts]
    start = end = 0
    while start < len(texts) and not place.stopping.is_set():
        if start:
            serve_urgent(place, lane)
        if start == end:  # those of other fields come next
            fields = tuple(texts[start])
            end = next((place for place in range(start, len(texts)) if tuple(texts[place]) != fields), len(texts))
            asked = f"{digest} {' '.join(fields)}"
            pace.expect(asked, tasks.readings(_part(bundle, fields)))
        budget = pace.budget(asked)
        count = min(max(pace.take(asked, costs[start:end]), least), end - start)
        whose = [one for its in requests[start : start + count] for one in its]
        began = time.perf_counter()
        with logs.working(whose), place.turns.urgent() if lane == "interactive" else nullcontext():
            answers = answer(bundle, texts[start : start + count], place, memories)
        seconds, tokens = time.perf_counter() - began, sum(costs[start : start + count])
        pace.record(asked, tokens, seconds * 1000)
        write(start, answers)
        _measure(place, lane, answers, seconds, tokens, budget)
        start += count
        _go_on()
    return start


def _measure(
    place: Workplace, lane: str, answers: Sequence[Sequence[Answer]], seconds: float, tokens: int, budget: float
) -> None:
    """Counts a micro-batch."""
    measured = place.measured
    measured.observe(SERVICE, lane, values=(seconds,))
    measured.observe(BATCH, lane, values=(len(answers),))
    measured.observe(FILL, lane, values=(tokens / budget,))
    measured.add(TOKENS, lane, by=tokens)
    failed = sum(cache.failed(its) for its in answers)
    measured.add(ITEMS, lane, "failed", by=failed)
    measured.add(ITEMS, lane, "scored", by=len(answers) - failed)


def _part(bundle: Bundle, fields: Sequence[str]) -> Bundle:
    """What of the bundle answers these fields."""
    return Bundle(plans=tuple(one for one in bundle.plans if one.field.name in fields))


def _go_on() -> None:
    """A job that has just scored something may go on: RQ's alarm is for one that hangs, and a writer takes minutes for
    what an encoder reads in a second."""
    left = signal.alarm(0)
    if left:  # 0: no alarm was set
        signal.alarm(max(left, wire.ALONE_S))


def serve_urgent(place: Workplace, lane: str) -> None:
    """Drains the more urgent lanes now, inside the job that is running; their tickets then find nothing to do. What an
    annotator sees next is made fresh during a push, too."""
    urgent = tuple(one for one in wire.SCORING_LANES if wire.LANES.index(one) < wire.LANES.index(lane))
    for other, digest in tickets.waiting(place.redis, urgent):
        drain(other, digest)
    if lane == "push":
        freshen()


def answer(
    bundle: Bundle,
    texts: Sequence[Mapping[str, str]],
    place: Workplace,
    memories: Mapping[str, tasks.Recollection] | None = None,
) -> list[list[Answer]]:
    """The answers of a micro-batch; an item that cannot be scored is answered with the reason and spoils no other."""
    try:
        answers = tasks.answer(bundle, texts, place.settings, memories)
        if len(answers) != len(texts):
            raise RuntimeError(f"{len(answers)} answers came for {len(texts)} items")
        return answers
    except BaseTimeoutException:
        raise
    except (ModelError, SettingsError) as error:  # no item is to blame
        log.error("scoring failed: %s", error)
        return [_refusals(item, str(error)) for item in texts]
    except Exception as error:  # an engine may raise anything, and the other items must not suffer
        if len(texts) == 1:
            log.warning("one item cannot be scored: %s", type(error).__name__, exc_info=error)
            reason = str(error) if isinstance(error, LabelLoopError) else f"{type(error).__name__}: {error}"
            return [_refusals(texts[0], reason)]
        log.warning("a micro-batch of %d failed (%s); its items are scored singly", len(texts), type(error).__name__)
    return [answer(bundle, [item], place, memories)[0] for item in texts]


def _refusals(texts: Mapping[str, str], reason: str) -> list[Answer]:
    return [Answer(field=name, labels=(), score=0.0, reason=reason, provenance={"failed": True}) for name in texts]


def _refuse(place: Workplace, digest: str, stream: str, items: list[Item], reason: str) -> None:
    if items:
        _write(place, None, digest, stream, items, [_refusals(item.texts, reason) for item in items])


def _write_groups(
    place: Workplace, bundle: Bundle, digest: str, stream: str, groups: list[list[Item]], answers: list[list[Answer]]
) -> None:
    items = [item for group in groups for item in group]
    spread = [found for group, found in zip(groups, answers, strict=True) for _ in group]
    _write(place, bundle, digest, stream, items, spread)


def _write(
    place: Workplace, bundle: Bundle | None, digest: str, stream: str, items: list[Item], answers: list[list[Answer]]
) -> None:
    """Writes answers to replies, and acknowledges the items, all or nothing. ``bundle``: whose they are, where they go
    into the cache, too."""
    pipeline = place.redis.pipeline(transaction=True)
    replies: dict[str, list[str]] = {}
    for item, found in zip(items, answers, strict=True):
        values = [one.model_dump_json() for one in found]
        replies.setdefault(item.reply, []).append(f"[{item.index},[{','.join(values)}]]")
        if bundle is not None:
            texts = {one.field: item.texts[one.field] for one in found}
            cache.keep(pipeline, cache.keys(bundle, digest, item.epoch, texts), found, place.settings.cache_ttl_s)
    for reply, messages in replies.items():
        key = wire.REPLY.format(id=reply)
        pipeline.rpush(key, f"[{','.join(messages)}]")
        pipeline.expire(key, wire.REPLY_S)
    entries = [item.entry for item in items]
    pipeline.xack(stream, wire.GROUP, *entries)
    pipeline.xdel(stream, *entries)
    pipeline.execute()
    place.done(stream, entries)


def calibrate(number: str) -> None:
    """Freezes the priors of a bundle from a sample; both lie in Redis under ``number``."""
    place = here()
    order = place.redis.get(wire.SAMPLE.format(id=number))
    if order is None:
        log.info("a calibration was asked so long ago that nobody waits for it")
        return
    content = json.loads(order)
    reply: dict[str, object]
    try:
        bundle = tasks.calibrate(Bundle.model_validate(content["bundle"]), content["sample"], place.settings)
        reply = {"bundle": bundle.model_dump(mode="json")}
    except LabelLoopError as error:
        log.error("a calibration failed: %s", error)
        reply = {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}
    key = wire.REPLY.format(id=number)
    pipeline = place.redis.pipeline(transaction=True)
    pipeline.rpush(key, json.dumps(reply))
    pipeline.expire(key, wire.REPLY_S)
    pipeline.delete(wire.SAMPLE.format(id=number))
    pipeline.execute()


def freshen() -> None:
    """Makes fresh what annotators of connections with new labels see next."""
    from labelloop.scoring.freshen_steps import serve  # it needs this module

    serve(here())


def push_step(connection_id: int) -> None:
    """Takes the next step of the push of a connection."""
    from labelloop.scoring.push_steps import step  # it needs this module

    step(here(), connection_id)


def refresh(connection_id: int, field: str, trigger: Trigger) -> None:
    """Trains a field of a connection."""
    from labelloop.scoring.refresh_job import asked  # it needs this module

    asked(here(), connection_id, field, trigger)


def refresh_due(connection_id: int) -> None:
    """Trains the fields of a connection that are due."""
    from labelloop.scoring.refresh_job import look  # it needs this module

    look(here(), connection_id)


def refresh_swept() -> None:
    """Trains the fields of all connections for which it is time."""
    from labelloop.scoring.refresh_job import look  # it needs this module

    for connection in here().store.connections():
        look(here(), connection.id)


def refresh_resumed() -> None:
    """Trains again what a trainer left unfinished."""
    from labelloop.scoring.refresh_job import resume  # it needs this module

    resume(here())


def put_back(digest: str) -> None:
    """Serves what served before a bundle that cannot be served."""
    from labelloop.scoring.refresh_job import put_back  # it needs this module

    put_back(here(), digest)


def read_back() -> None:
    """Reads the labels of every project that no webhook brought."""
    from labelloop.scoring.reading import read_all  # it needs this module

    read_all(here())
