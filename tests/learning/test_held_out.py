"""What is held out depends on the text and the connection alone, and copies never cross."""

import subprocess
import sys

import numpy as np

from labelloop.learning.held_out import FEWEST, held_out, mark, normalised

TEXTS = [f"{word} {other} has {thing}" for word in "abcdefghij" for other in "klmnopqrst" for thing in "uvwxyz"]


def test_about_a_fifth_is_held_out() -> None:
    assert 0.16 < held_out(TEXTS, "one").mean() < 0.24


def test_neither_order_nor_company_nor_process_matters() -> None:
    out = held_out(TEXTS, "one")
    assert held_out(TEXTS[::-1], "one").tolist() == out[::-1].tolist()
    assert held_out([*TEXTS, *(f"more {text}" for text in TEXTS)], "one")[: len(TEXTS)].tolist() == out.tolist()
    code = "import sys; from labelloop.learning.held_out import *; texts = sys.argv[1:];"
    code += "print([int(one) for one in held_out(texts, 'one', True)])"
    some = TEXTS[:40]
    shown = subprocess.run([sys.executable, "-c", code, *some], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str([int(one) for one in out[:40]])


def test_each_connection_holds_out_its_own() -> None:
    one, other = held_out(TEXTS, "one"), held_out(TEXTS, "other")
    assert 0.01 < (one & other).mean() < 0.08


def test_copies_never_cross() -> None:
    for copy in (
        lambda text: text.upper(),
        lambda text: f"  {text.replace(' ', chr(0xA0))}!?\n",
        lambda text: text.replace("a", chr(0xFF41)),  # a full-width letter
    ):
        made = [copy(text) for text in TEXTS]
        assert held_out(made, "one").tolist() == held_out(TEXTS, "one").tolist()
    assert normalised("Order 1234 is late") == normalised("order #7 is late.")
    assert normalised("not good") != normalised("good")
    assert mark("Order 1234 is late") == mark("order #7 is late.") and len({*map(mark, TEXTS)}) == len(TEXTS)


def test_texts_without_words_are_not_all_copies_of_each_other() -> None:
    assert normalised(" 2024 ") != normalised("17") and normalised("👍") != normalised("👎")
    assert normalised("\ud800 a") == "\ud800 a" or isinstance(held_out(["\ud800 a"], "one", True)[0], np.bool_)


def test_few_labels_hold_nothing_out_unless_it_began() -> None:
    few = TEXTS[: FEWEST - 1]
    assert not held_out(few, "one").any() and not held_out([*few, *few], "one").any()  # copies are no more labels
    assert held_out(few, "one", already=True).any() and held_out(TEXTS[:FEWEST], "one").any()
    assert held_out([], "one").shape == (0,)
