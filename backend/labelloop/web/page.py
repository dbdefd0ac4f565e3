"""The page that a project's owner watches: what serves, what people say of it, and what is being learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment

from labelloop.learning.observed import BLOCK
from labelloop.learning.refreshes import WHY, Refresh
from labelloop.learning.store import Version
from labelloop.scoring.queues import tell_queues

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the key
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_HOW = {
    "accepted": "suggestion kept",
    "edited": "suggestion changed",
    "rejected": "suggestion replaced",
    "by_hand": "without a suggestion",
    "skipped": "task skipped",
}
_WIDTH, _HEIGHT, _LEFT, _TOP = 860, 190, 46, 12  # of the curve; the margins right and below are as wide
_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    Path(__file__).with_name("status.html").read_text(encoding="utf-8")
)


def render(
    told: Mapping[str, Any],
    version: Version | None,
    agreement: tuple[float | None, Mapping[str, float]],
    blocks: Sequence[float],
    attempts: Sequence[Refresh],
) -> str:
    """The page.

    Args:
        told: as the route answers in JSON.
        version: that serves.
        agreement, blocks: of ``observed.agreement`` and ``observed.agreement_blocks``.
        attempts: to train, the latest first.
    """
    parts = [(name, words, told["labels"][name]) for name, words in _HOW.items()]
    queues = told["queues"]
    return _PAGE.render(
        **{**told, "title": told["title"] or "A project", "version": version},
        how=_HOW,
        since=_date(version.served_at) if version else "",
        alerts=_alerts(queues),
        parts=parts,
        total=sum(count for _, _, count in parts),
        agreement=agreement[0],
        kept=agreement[1],
        curve=_curve(blocks),
        grid=[(_y(share), f"{100 * share:.0f} %") for share in (0.0, 0.5, 1.0)],
        block=BLOCK,
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        pushes=[one for one in queues.get("pushes", ()) if one["connection_id"] == told["connection"]],
        running=[one for one in told["training"] if one.get("state") in ("waiting", "training")],
        attempts=[(one, _date(one.begun_at), WHY.get(one.trigger, "")) for one in attempts if one.state != "running"],
        waiting="" if "error" in queues else tell_queues(queues).capitalize(),
        now=_date(datetime.now(UTC)),
    )


def _alerts(queues: Mapping[str, Any]) -> list[str]:
    if "error" in queues:
        return [str(queues["error"])]
    lanes = {lane for one in queues["workers"] for lane in one["queues"]}
    missing = []
    if "predict" not in lanes:
        missing.append("No worker is alive: nothing is suggested. Start one with `labelloop worker`.")
    if "refresh" not in lanes:
        missing.append("No trainer is alive: nothing is trained. Start one with `labelloop trainer`.")
    return missing


def _curve(blocks: Sequence[float]) -> list[tuple[float, float]]:
    """Points of the picture, where there are two at least."""
    if len(blocks) < 2:
        return []
    step = (_WIDTH - 2 * _LEFT) / (len(blocks) - 1)
    return [(round(_LEFT + place * step, 1), _y(share)) for place, share in enumerate(blocks)]


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (_HEIGHT - 2 * _TOP), 1)


def _date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
