"""The gate promotes what is better, and each harm refuses by itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from labelloop.evaluation import Tally
from labelloop.learning.gate import ALPHA, Evidence, Verdict, decide, level
from labelloop.learning.gate_checks import Outcome

LABELS = ("Refund", "Delivery", "Damage", "Other")
N = 240
GOLD = [LABELS[place % 4] for place in range(N)]
ALL = np.ones(N, np.bool_)


def version(name: str, said: Sequence[str], score: float | None = None, gold: Sequence[str] = GOLD) -> Outcome:
    """``score``: of each answer; None: how often they are right."""
    right = [one == other for one, other in zip(said, gold, strict=True)]
    tally = Tally("accuracy", np.array(right, np.float64), np.ones(len(right)))
    sure = float(np.mean(right)) if score is None else score
    return Outcome(name, tally, [sure] * len(right), right, [(one,) for one in said])


def wrong(places: Sequence[int], gold: Sequence[str] = GOLD) -> list[str]:
    """The labels, but the next one at these places."""
    missed = set(places)
    return [LABELS[(LABELS.index(one) + (place in missed)) % 4] for place, one in enumerate(gold)]


def evidence(old: Outcome, new: Outcome, **more: object) -> Evidence:
    return Evidence(old, new, [(one,) for one in GOLD], **more)  # type: ignore[arg-type]


CHAMPION = version("v1", wrong(range(0, 50)))
BETTER = version("v2", wrong(range(30, 60)))
"""Right on 30 items more, and wrong on ten others."""


def failed(verdict: Verdict) -> set[str]:
    return {one.kind for one in verdict.failed}


def test_clearly_better_is_promoted() -> None:
    verdict = decide(evidence(CHAMPION, BETTER, slices={"older": np.arange(N) % 2 == 0, "blind": np.arange(N) < 12}))
    assert verdict.promoted and not verdict.failed and verdict.more_labels is None
    assert (verdict.better, verdict.worse, verdict.items) == (30, 10, N)
    assert verdict.gain[1] < verdict.gain[0] == pytest.approx(20 / N) and verdict.p < 0.005
    assert {one.name for one in verdict.checks if one.kind == "label"} == set(LABELS)


def test_a_verdict_travels_as_json() -> None:
    verdict = decide(evidence(CHAMPION, BETTER, best=replace(BETTER, name="v0"), slices={"older": ALL}))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_hardly_better_is_undecided_and_says_after_how_many_labels_to_ask() -> None:
    hardly = decide(evidence(CHAMPION, version("v2", wrong(range(12, 58)))))
    assert hardly.decision == "undecided" and 0.1 < hardly.p < 0.5
    assert hardly.more_labels is not None and hardly.more_labels > 5 * N / 5
    folded = decide(evidence(CHAMPION, version("v2", wrong(range(12, 58))), evaluated="out-of-fold"))
    assert folded.more_labels is not None and folded.more_labels < hardly.more_labels
    same = decide(evidence(CHAMPION, CHAMPION))
    assert same.decision == "undecided" and same.more_labels is None and same.labels_for_worth > 0


def test_worse_is_refused() -> None:
    verdict = decide(evidence(BETTER, CHAMPION))
    assert verdict.decision == "refused" and verdict.gain[0] < 0


def test_one_answer_to_everything_is_refused_though_most_items_have_it() -> None:
    gold = ["Other"] * 230 + ["Refund"] * 10
    old = version("v1", ["Refund"] * 40 + ["Other"] * 190 + ["Refund"] * 10, gold=gold)
    new = version("v2", ["Other"] * 240, gold=gold)
    verdict = decide(Evidence(old, new, [(one,) for one in gold]))
    assert verdict.p < 0.001 and verdict.decision == "refused" and "constant" in failed(verdict)


def test_a_forgotten_label_is_refused_whatever_else_is_gained() -> None:
    gold = ["Refund"] * 8 + [LABELS[1 + place % 3] for place in range(232)]
    old = version("v1", wrong(range(8, 80), gold), gold=gold)
    new = version("v2", ["Delivery"] * 8 + gold[8:], gold=gold)
    verdict = decide(Evidence(old, new, [(one,) for one in gold]))
    assert verdict.p < 1e-6 and verdict.decision == "refused"
    assert [one.name for one in verdict.failed] == ["Refund"] and "forgotten" in verdict.failed[0].words


def test_a_label_of_many_may_lose_four_answers_by_luck_but_not_all_of_more() -> None:
    names = [f"intent {place}" for place in range(77)]
    gold = [names[place % 77] for place in range(77 * 9)]
    old = version("v1", ["none" if place % 4 == 1 else one for place, one in enumerate(gold)], gold=gold)
    places = [place for place, one in enumerate(gold) if one == "intent 7" and old.right[place]]

    def without(lost: int) -> Verdict:
        said = ["none" if place in places[:lost] else one for place, one in enumerate(gold)]
        gained = [one if old.right[place] or gold[place] != "intent 7" else "none" for place, one in enumerate(said)]
        return decide(Evidence(old, version("v2", gained, gold=gold), [(one,) for one in gold]))

    assert len(places) > 5 and without(4).promoted
    forgotten = without(len(places))
    assert (
        forgotten.p < 1e-6
        and forgotten.decision == "refused"
        and [one.name for one in forgotten.failed] == ["intent 7"]
    )


def test_noise_on_labels_with_few_items_refuses_nothing() -> None:
    """With 77 labels of about four items some lose one or two whenever a version changes."""
    names = [f"intent {place}" for place in range(77)]
    rng = np.random.default_rng(6)
    refused = 0
    for _ in range(25):
        gold = [names[int(place)] for place in rng.integers(0, 77, 300)]
        said = [[one if rng.random() < share else names[0] for one in gold] for share in (0.7, 0.8)]
        same = rng.random(300) < 0.6  # versions mostly err on the same items
        old, new = ([a if s else b for a, b, s in zip(said[0], its, same, strict=True)] for its in said)
        verdict = decide(Evidence(version("v1", old, gold=gold), version("v2", new, gold=gold), [(g,) for g in gold]))
        refused += any(one.kind == "label" for one in verdict.failed)
    assert refused <= 1


@pytest.mark.parametrize("name", ["older", "agreed", "blind", "long texts"])
def test_a_slice_that_suffers_is_refused(name: str) -> None:
    verdict = decide(evidence(CHAMPION, BETTER, slices={name: (np.arange(N) >= 40) & (np.arange(N) < 80)}))
    assert verdict.p < 0.1 and verdict.decision == "refused"
    assert [(one.kind, one.name) for one in verdict.failed] == [("slice", name)]


def test_few_items_of_a_slice_are_not_believed() -> None:
    two_of_three_lost = (np.arange(N) >= 58) & (np.arange(N) < 61)
    assert decide(evidence(CHAMPION, BETTER, slices={"blind": two_of_three_lost})).promoted


def test_worse_than_the_best_there_was_is_refused() -> None:
    verdict = decide(evidence(CHAMPION, BETTER, best=version("v0", wrong(range(30, 40)))))
    assert verdict.p < 0.1 and verdict.decision == "refused" and failed(verdict) == {"best-ever"}
    assert decide(evidence(CHAMPION, BETTER, best=version("v0", wrong(range(30, 58))))).promoted


@pytest.mark.parametrize("score", [0.999, 0.5])
def test_scores_that_mean_less_are_refused(score: float) -> None:
    verdict = decide(evidence(CHAMPION, version("v2", wrong(range(30, 60)), score)))
    assert verdict.p < 0.1 and verdict.decision == "refused" and failed(verdict) == {"calibration"}


def test_labels_that_the_champion_suddenly_disagrees_with_are_doubted() -> None:
    """The newer half renames a label, and the challenger learned it."""
    older = np.arange(N) < N // 2
    gold = [one if o or one != "Refund" else "Damage" for one, o in zip(GOLD, older, strict=True)]
    old = version("v1", wrong(range(0, N, 12)), gold=gold)
    learned = ["Damage" if one == "Refund" and place % 3 else one for place, one in enumerate(GOLD)]
    verdict = decide(
        Evidence(old, version("v2", learned, gold=gold), [(one,) for one in gold], slices={"older": older})
    )
    assert verdict.decision == "refused" and "agreement" in failed(verdict)
    assert "look at the newer labels" in next(one.words for one in verdict.failed if one.kind == "agreement")


def test_harder_texts_are_no_reason_against_what_is_better_on_old_and_new_ones() -> None:
    older = np.arange(N) < N // 2
    old = version("v1", wrong([*range(0, 30), *range(N // 2, N // 2 + 60)]))
    new = version("v2", wrong([*range(0, 15), *range(N // 2, N // 2 + 20)]))
    verdict = decide(evidence(old, new, slices={"older": older}))
    doubt = next(one for one in verdict.checks if one.kind == "agreement")
    assert "look at the newer labels" in doubt.words and verdict.promoted


def test_labels_that_are_far_below_what_the_champion_claims_are_doubted() -> None:
    close = version("v2", wrong(range(14, 55)))
    sure = replace(CHAMPION, scores=[0.95] * N)
    verdict = decide(evidence(sure, close))
    assert decide(evidence(CHAMPION, close)).promoted and not decide(evidence(CHAMPION, close)).doubt
    assert verdict.alpha == pytest.approx(0.03)
    assert "claims to be right on 0.95 of these items and agrees with 0.79" in verdict.doubt
    much = version("v2", wrong(range(0, 20)))
    assert decide(evidence(sure, much)).promoted  # harder texts, and a gain beyond doubt


def spoilt(share: float) -> Callable[[np.random.Generator], bool]:
    """Whether a challenger that learned labels, of which ``share`` are flipped, is promoted on such labels."""

    def run(rng: np.random.Generator) -> bool:
        flips = rng.random(N) < share
        gold = wrong(np.flatnonzero(flips).tolist())
        sides = [wrong(np.flatnonzero(rng.random(N) > right).tolist()) for right in (0.85, 0.85 - share / 2)]
        old, new = (version(name, said, 0.85, gold) for name, said in zip(("v1", "v2"), sides, strict=True))
        return decide(Evidence(old, new, [(one,) for one in gold])).promoted

    return run


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5])
def test_flipped_labels_do_not_promote_what_learned_them(share: float) -> None:
    rng = np.random.default_rng(round(100 * share))
    assert sum(spoilt(share)(rng) for _ in range(40)) <= 1


def test_several_labels_of_an_item_are_judged_one_by_one() -> None:
    gold = [(LABELS[place % 3], "Other") if place % 5 == 0 else (LABELS[place % 3],) for place in range(N)]

    def tagged(name: str, said: list[tuple[str, ...]]) -> Outcome:
        pairs = list(zip(gold, said, strict=True))
        gained = [2.0 * len(set(its) & set(one)) for its, one in pairs]
        possible = [float(len(its) + len(one)) for its, one in pairs]
        right = [set(its) == set(one) for its, one in pairs]
        return Outcome(
            name, Tally("micro-F1", np.array(gained), np.array(possible)), [float(np.mean(right))] * N, right, said
        )

    old = tagged("v1", [one if place % 4 else one[1:] or ("Other",) for place, one in enumerate(gold)])
    better = tagged("v2", [one if place % 16 else one[1:] or ("Other",) for place, one in enumerate(gold)])
    never_other = tagged("v3", [one[:1] for one in gold])
    assert decide(Evidence(old, better, gold)).promoted
    refused = decide(Evidence(old, never_other, gold))
    assert refused.gain[0] > 0 and refused.decision == "refused"
    assert [one.name for one in refused.failed if one.kind == "label"] == ["Other"]


def test_one_item_decides_nothing() -> None:
    old, new = (version(name, [said], 0.5, gold=["Refund"]) for name, said in (("v1", "Other"), ("v2", "Refund")))
    assert decide(Evidence(old, new, [("Refund",)])).decision == "undecided"


def test_means_of_scores_are_judged_too() -> None:
    rng = np.random.default_rng(7)
    base = rng.uniform(0.2, 0.8, N)

    def written(name: str, scores: np.ndarray) -> Outcome:
        return Outcome(name, Tally("chrF", scores, np.ones(N)), scores.tolist(), (scores > 0.5).tolist(), texts)

    texts = [(f"text {place}",) for place in range(N)]
    old = written("v1", base)
    better, same = written("v2", base + 0.05 + rng.normal(0, 0.1, N)), written("v2", base + rng.normal(0, 0.1, N))
    nothing: list[tuple[str, ...]] = [()] * N
    assert decide(Evidence(old, better, nothing)).promoted
    assert not decide(Evidence(old, same, nothing)).promoted


def test_attempts_share_what_may_be_spent() -> None:
    levels = [level(attempt) for attempt in range(1, 60)]
    assert levels[0] == pytest.approx(0.12) and levels == sorted(levels, reverse=True) and sum(levels) <= ALPHA
    close = version("v2", wrong(range(14, 55)))  # p is 0.02
    assert decide(evidence(CHAMPION, close)).promoted
    assert decide(evidence(CHAMPION, close, attempt=6)).decision == "undecided"


def test_evidence_of_different_items_is_no_evidence() -> None:
    short = version("v2", GOLD[:10], gold=GOLD[:10])
    with pytest.raises(ValueError, match="the same items are needed"):
        evidence(CHAMPION, short)
    with pytest.raises(ValueError, match="attempt"):
        evidence(CHAMPION, BETTER, attempt=0)
    with pytest.raises(ValueError, match="the same items"):
        evidence(CHAMPION, BETTER, slices={"older": ALL[:5]})
