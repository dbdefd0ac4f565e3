"""After a promotion: the former version answers the new labels, too, and takes its place again if it does it better.

Each label that comes after the promotion is answered by both, with a memory of the labels before it. Where one of the
two is right alone, that is a coin that shows for whom; the bet that it favours the former version grows by each such
label (a test martingale: Ville 1939; Shafer 2021, "Testing by betting"). It may be looked at after every label: that it
ever reaches 1 / ``ALPHA`` has a chance of ``ALPHA`` at most where the new version is no worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scipy.special import betainc, betaln

from labelloop import tallies
from labelloop.learning import judging, refreshes, versions
from labelloop.learning.reading import take_in
from labelloop.learning.refreshes import Refresh
from labelloop.learning.store import Store, Version
from labelloop.settings import Settings
from labelloop.words import Bundle, Example, FieldPlan

ALPHA = 0.05
_MOST = 700.0  # the greatest number's logarithm
AT_LEAST = 8
"""New labels at once: to answer fewer costs as much as to learn the memory that answers them."""


@dataclass(frozen=True)
class Since:
    """What was seen since a promotion. ``epoch``: up to which labels were looked at. ``better``, ``worse``: on how many
    the new version alone was right, and the former alone."""

    epoch: int
    better: int = 0
    worse: int = 0

    @property
    def evidence(self) -> float:
        """By how many times a bet on the former version has grown."""
        return bet(self.better, self.worse)

    @property
    def stored(self) -> dict[str, int]:
        return {"epoch": self.epoch, "better": self.better, "worse": self.worse}


@dataclass(frozen=True)
class Withdrawn:
    """A field whose former plan serves again. ``words``: why."""

    field: str
    words: str


def bet(better: int, worse: int) -> float:
    """The mixture, over all chances above one half alike, of the likelihood ratio against one half that ``worse`` of
    ``better + worse`` coins fall so."""
    upper = float(betainc(better + 1, worse + 1, 0.5))  # of the beta distribution above one half
    if not upper:
        return 0.0
    grown = (better + worse + 1) * math.log(2) + float(betaln(worse + 1, better + 1)) + math.log(upper)
    return math.exp(min(grown, _MOST))


def watch(store: Store, connection_id: int, settings: Settings) -> list[Withdrawn]:
    """Looks at the labels that came since, and lets the former plans of fields serve again that do better.

    Raises:
        ModelError, SettingsError: as ``tasks.answer``.
    """
    version = store.champion(connection_id)
    if version is None:
        return []
    settings = versions.settings_for(settings, store.connection(connection_id).directions)
    found = []
    for plan in version.bundle.plans:
        if plan.adapter is not None and (withdrawn := _look(store, version, plan, settings)) is not None:
            found.append(withdrawn)
    return found


def _look(store: Store, version: Version, plan: FieldPlan, settings: Settings) -> Withdrawn | None:
    name = plan.field.name
    tried = refreshes.listed(store, version.connection_id, name)
    made = next((one for one in tried if one.adapter == plan.adapter and "since" in one.verdict), None)
    former = None if made is None else _former(store, version, made, name)
    if made is None or former is None:
        return None
    since = Since(**made.verdict["since"])
    read = partial(store.examples, version.connection_id, plan.field, version.bundle.fields, several=settings.several)
    later = read(after_epoch=since.epoch)
    new = [one for one in later.found if one.item not in made.items]
    if len(new) < AT_LEAST:
        return None
    old = [one for one in read().found if one.epoch <= since.epoch]
    better, worse = _compare(plan, former, old, new, settings)
    since = Since(later.epoch, since.better + better, since.worse + worse)
    refreshes.note(store, made.id, {**made.verdict, "since": since.stored})
    if since.evidence < 1 / ALPHA:
        return None
    words = (
        f"Withdrawn: of the labels since its promotion {since.worse} were answered right by the former version alone, "
        f"{since.better} by this one alone."
    )
    if versions.serve_plan(store, version.connection_id, plan, former) is None:
        return None
    anew = Since(later.epoch).stored  # for a person may promote it again
    refreshes.note(store, made.id, {**made.verdict, "since": anew, "withdrawn": words})
    return Withdrawn(name, words)


def _former(store: Store, version: Version, made: Refresh, field: str) -> FieldPlan | None:
    for one in store.versions(version.connection_id):
        if one.bundle.digest == made.parent:
            return next((plan for plan in one.bundle.plans if plan.field.name == field), None)
    return None


def _compare(
    plan: FieldPlan, former: FieldPlan, old: Sequence[Example], new: Sequence[Example], settings: Settings
) -> tuple[int, int]:
    """(labels that only the plan answers right, labels that only the former one does)."""
    from labelloop import tasks
    from labelloop.tasks import recollection
    from labelloop.tasks.roll import Roll

    roll, wanted = (take_in(Roll(plan.field), plan, some, settings) for some in (old, new))
    its = [one for _, one in wanted.items()]
    memory = recollection.learn(plan.suggesting_all, roll, 1, settings)
    memories: dict[str, Any] = {} if memory is None else {plan.field.name: memory}
    rendered = [{plan.field.name: one.text} for one in its]
    gold = [judging.right_of(plan.field, one) for one in its]
    hits = []
    for version in (plan, former):
        bundle = Bundle(plans=(version.suggesting_all,))
        answers = [said for (said,) in tasks.answer(bundle, rendered, settings, memories)]
        hits.append(tallies.hits(plan.field, gold, answers))
    pairs = list(zip(*hits, strict=True))
    return sum(ours and not theirs for ours, theirs in pairs), sum(theirs and not ours for ours, theirs in pairs)
