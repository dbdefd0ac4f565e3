"""Whether people agree with suggestions as often as they did: how many they leave as they are, then and now.

The first ``BLOCK`` suggestions that people answered after a version began to serve, or after it was last weighed
against something better, are what later ones are compared with, ``BLOCK`` at a time and each only once. Fisher's exact
test (1935) asks of each such block whether so few left alone are chance; the k-th may say "no" with a chance of
``ALPHA`` / (k (k + 1)) (Bonferroni), which over all blocks sums to ``ALPHA``: however long one looks, one version in
twenty at most is taken for worse that is not. Where the least certain tasks come first, later ones are easier, which
makes a fall harder to see and never easier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scipy.stats import hypergeom
from sqlalchemy import select

from labelloop.learning.observed import ANSWERED, kept_by_block
from labelloop.learning.store import Store
from labelloop.learning.tables import AnnotationRow

ALPHA = 0.05
BLOCK = 100


@dataclass(frozen=True)
class Fall:
    """``before``, ``after``: of ``BLOCK`` suggestions, how many were left as they were."""

    before: int
    after: int

    @property
    def words(self) -> str:
        return f"people left {self.after} of {BLOCK} suggestions as they were, and {self.before} of {BLOCK} before"


def fallen(store: Store, connection_id: int, since: datetime) -> Fall | None:
    """The fall of agreement since a moment; None where there is none that chance would not explain."""
    mine = (AnnotationRow.connection_id == connection_id, ~AnnotationRow.deleted)
    asked = select(AnnotationRow.how).where(*mine, AnnotationRow.how.in_(ANSWERED), AnnotationRow.updated_at > since)
    with store.session() as session:
        found = session.scalars(asked.order_by(AnnotationRow.updated_at, AnnotationRow.annotation_id))
        return first_fall([how == "accepted" for how in found])


def first_fall(left: Sequence[bool]) -> Fall | None:
    """As ``fallen``. ``left``: of each suggestion, in their order, whether it was left as it was."""
    blocks = kept_by_block(left, BLOCK)
    for look, after in enumerate(blocks[1:], 1):
        chance = float(hypergeom.cdf(after, 2 * BLOCK, blocks[0] + after, BLOCK))
        if chance <= ALPHA / (look * (look + 1)):
            return Fall(blocks[0], after)
    return None
