"""A dry run before anyone connects: what would LabelLoop say of this project, how fast, and would it help?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Literal

from labelloop.telling import group
from labelloop.words import Answer, Field

SAMPLE = 50
_HELPS = 0.6  # share of right answers from which correcting is quicker than ticking, about
_PERHAPS = 0.4
_ABOVE_CHANCE = 1.5  # times the share that guessing gets
_COLLAPSED = 0.95
_FEW = 8  # answers below which their spread says nothing


@dataclass(frozen=True)
class Verdict:
    """What a sample says about one field.

    ``expected``: the mean score, so about the share of answers that will be right. ``quartiles``: of the scores.
    ``chosen``: how often each answer was given. ``unread``: items without an answer.
    """

    field: str
    helps: Literal["yes", "perhaps", "no"]
    why: str
    expected: float
    quartiles: tuple[float, float, float]
    chosen: dict[str, int]
    unread: int


def judge(field: Field, answers: Sequence[Answer]) -> Verdict:
    """Whether suggestions for this field would help, from the scores and the spread of the answers to a sample.

    The scores are probabilities, so their mean estimates the accuracy; no label is needed. It is an estimate for a
    label set that was never measured: `labelloop evaluate` on some labelled items says more.
    """
    given = [answer for answer in answers if answer.reason is None]
    unread = len(answers) - len(given)
    chosen = Counter(group(field, answer) for answer in given)
    if not given:
        reason = next((answer.reason for answer in answers if answer.reason), "there is no task")
        return Verdict(field.name, "no", f"no task could be read: {reason}", 0.0, (0.0, 0.0, 0.0), {}, unread)
    scores = sorted(answer.score for answer in given)
    low, middle, high = quantiles(scores, n=4) if len(scores) > 1 else scores * 3
    expected = sum(scores) / len(scores)
    helps, why = _decide(field, expected, chosen, len(given))
    if unread:
        why += f"; {unread} of {len(answers)} tasks cannot be read"
    return Verdict(field.name, helps, why, expected, (low, middle, high), dict(chosen.most_common()), unread)


def _decide(
    field: Field, expected: float, chosen: Counter[str], given: int
) -> tuple[Literal["yes", "perhaps", "no"], str]:
    share = f"about {expected:.0%} of the suggestions would be right"
    chance = 1 / 2 ** len(field.labels) if field.multiple else 1 / max(1, len(field.labels))
    if field.dynamic or (field.structured and field.kind != "comparison"):
        chance = 0.0  # how many answers there could be depends on the item
    top, count = chosen.most_common(1)[0]
    told = field.ordinal or field.kind == "comparison" or all(label.description for label in field.labels)
    hints = "" if told else "; hints on the choices would tell it more"
    if expected < _ABOVE_CHANCE * chance:
        return "no", f"{share}, little more than guessing among {len(field.labels)} labels would get{hints}"
    if given >= _FEW and count >= _COLLAPSED * given and top == "(none)" and field.structured:
        return "perhaps", f"{share}, but in nearly every task it finds nothing{hints}"
    if given >= _FEW and count >= _COLLAPSED * given and len(field.labels) > 1 and top != "(some)":
        return "perhaps", f"{share}, but nearly every task gets '{top}': fine if that is so, else rename labels{hints}"
    if expected >= _HELPS:
        return "yes", share
    if expected >= _PERHAPS:
        return "perhaps", f"{share}: worth it where reading a suggestion costs less than finding the label{hints}"
    return "no", f"only {share}: correcting would cost more than it saves, until it has learned from labels{hints}"
