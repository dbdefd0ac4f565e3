"""Answers for many items of a connection: from the cache, else scored here and now, equal texts once, and of an item
only the fields whose answers are not there: a new label asks no writer again for what it wrote already."""

from __future__ import annotations

from collections.abc import Mapping

from labelloop.scoring import cache
from labelloop.scoring.jobs import score_in_batches
from labelloop.scoring.measured import LOOKUPS
from labelloop.scoring.pace import order
from labelloop.scoring.wire import Epoch
from labelloop.scoring.workplace import Workplace
from labelloop.words import Answer, Bundle


def answers(
    place: Workplace, bundle: Bundle, epoch: Epoch, texts: Mapping[int, Mapping[str, str]], lane: str
) -> dict[int, list[Answer]] | None:
    """The answers by item, whose ``texts`` are rendered, by field name; None where the worker has to stop: what is
    scored lies in the cache then.

    Args:
        epoch: the labels that must be known. lane: more urgent ones are served in between.
    """
    digest = bundle.digest
    names = {item: cache.keys(bundle, digest, epoch, its) for item, its in texts.items()}
    flat = [name for its in names.values() for name in its]
    known = dict(zip(flat, cache.get(place.redis, flat), strict=True))
    hits = sum(answer is not None for answer in known.values())
    place.measured.add(LOOKUPS, lane, "hit", by=hits)
    place.measured.add(LOOKUPS, lane, "miss", by=len(known) - hits)
    missing = {
        tuple(one for one, name in zip(texts[item].items(), its, strict=True) if not known[name])
        for item, its in names.items()
    }
    todo = [dict(its) for its in sorted(missing, key=lambda its: (*order(dict(its)), its)) if its]

    def write(start: int, found: list[list[Answer]]) -> None:
        pipeline = place.redis.pipeline(transaction=False)
        for its, some in zip(todo[start:], found, strict=False):
            keys = cache.keys(bundle, digest, epoch, {one.field: its[one.field] for one in some})
            known.update(zip(keys, some, strict=True))
            cache.keep(pipeline, keys, some, place.settings.cache_ttl_s)
        pipeline.execute()

    if score_in_batches(place, bundle, digest, todo, lane, write, epoch) < len(todo):
        return None
    return {item: [one for name in its if (one := known[name])] for item, its in names.items()}
