"""A verdict's words, Markdown and page hold its numbers."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from labelloop.evaluation import Tally
from labelloop.learning.gate import Evidence, Verdict, decide
from labelloop.learning.gate_checks import Outcome
from labelloop.learning.gate_report import html, markdown, words

N = 100
GOLD = ["A | B" if place % 2 else "<i>C</i>" for place in range(N)]


def version(name: str, wrong: range) -> Outcome:
    said = [("?" if place in wrong else one,) for place, one in enumerate(GOLD)]
    right = [place not in wrong for place in range(N)]
    return Outcome(name, Tally("accuracy", np.array(right, float), np.ones(N)), [1 - len(wrong) / N] * N, right, said)


def verdict(wrong: range, best: range | None = None) -> Verdict:
    """Of a challenger that is wrong there, against a champion that is wrong on the first twenty."""
    known = version("v0-best", best) if best else None
    slices = {"older": np.arange(N) < 50}
    gold = [(one,) for one in GOLD]
    return decide(Evidence(version("v1-old", range(20)), version("v2-new", wrong), gold, slices=slices, best=known))


PROMOTED, UNDECIDED, NO_GAIN = verdict(range(15, 22)), verdict(range(2, 20)), verdict(range(20))
REFUSED = verdict(range(15, 22), best=range(1))


def test_a_promotion_in_words() -> None:
    assert words(PROMOTED) == (
        "Promoted: accuracy 0.930 against 0.800 on 100 held-out items, 15 better, 2 worse, p < 0.001, below "
        "the 0.120 of attempt 1; no label or slice suffers."
    )


def test_a_refusal_names_its_reason() -> None:
    said = words(REFUSED)
    assert said.startswith("Refused: accuracy 0.930 against 0.800 on 100 held-out items")
    assert "0.930 beside 0.990 of v0-best, the best there was" in said


def test_an_open_question_says_what_would_answer_it() -> None:
    assert f"about {UNDECIDED.more_labels} more labels would tell it" in words(UNDECIDED)
    assert "v1-old goes on" in words(UNDECIDED)
    assert f"one of 3 points is told with about {NO_GAIN.labels_for_worth} labels" in words(NO_GAIN)


def test_doubted_labels_are_told() -> None:
    doubted = PROMOTED.model_copy(update={"doubt": "v1-old claims more: look at the labels"})
    assert words(doubted) == f"{words(PROMOTED)} The labels are doubted: v1-old claims more: look at the labels."
    assert "look at the labels" in markdown(doubted) and "look at the labels" in html(doubted)


@pytest.mark.parametrize("one", [PROMOTED, UNDECIDED, NO_GAIN, REFUSED])
def test_markdown_is_one_table_row_per_check(one: Verdict) -> None:
    text = markdown(one)
    assert words(one) in text
    table = [line for line in text.split("| check |")[1].splitlines() if line.startswith("|")][1:]
    assert len(table) == len(one.checks) and any("A \\| B" in line for line in table)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {10}


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.told = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "line", "circle", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "circle"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.told += data


@pytest.mark.parametrize("one", [PROMOTED, UNDECIDED, NO_GAIN, REFUSED])
def test_the_page_says_the_same_and_needs_nothing_from_elsewhere(one: Verdict) -> None:
    page = Page(html(one))
    assert not page.open and words(one) in page.told
    assert all(check.name in page.told for check in one.checks) and "i" not in page.tags
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not [value for name, value in page.attributes if name in {"src", "href"}]
    known = dict(page.attributes)
    assert known["lang"] == "en" and "caption" in page.tags and known["scope"] in {"row", "col"}
    drawn = [value for name, value in page.attributes if name == "aria-label" and value and value.startswith("Gain")]
    assert f"{100 * one.gain[0]:+.1f} points" in drawn[0]


def test_reasons_come_first() -> None:
    rows = re.findall(r"<tr( class=\"failed\")?><td", html(REFUSED))
    assert rows[0] and not any(rows[len(REFUSED.failed) :])
