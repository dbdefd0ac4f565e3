"""Controls of written texts: read from options, measured, repaired."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.prompting import load_file
from labelloop.tasks import controls, formats, generation
from labelloop.tasks.controls import count_sentences, count_words, fulfilment, occurs, parse, repair
from labelloop.tasks.styles import Style, styled

PROMPT = load_file(generation.PROMPT, "", generation.Prompt)
STYLES, LANGUAGES = PROMPT.styles, PROMPT.languages
TEXT = "The storm came at noon. We had no umbrella! Was it bad? It was."


def measured(text: str, **options: str) -> dict[str, float]:
    return fulfilment(text, parse(options, STYLES), STYLES, LANGUAGES)


def repaired(text: str, **options: str) -> str:
    return repair(text, parse(options, STYLES))[0]


@pytest.mark.parametrize(
    ("value", "low", "high", "wish"),
    [
        ("30", 27, 33, "about"),
        ("5", 3, 7, "about"),
        ("1", 1, 3, "about"),
        ("20-40", 20, 40, "between"),
        ("20 to 40", 20, 40, "between"),
        ("20 – 40", 20, 40, "between"),
        ("<=50", 1, 50, "most"),
        ("< 50", 1, 49, "most"),
        ("≤50", 1, 50, "most"),
        (">= 10", 10, None, "least"),
        (">10", 11, None, "least"),
    ],
)
def test_a_length_is_read_in_every_form(value: str, low: int, high: int | None, wish: str) -> None:
    found = parse({"words": value}, STYLES).words
    assert found and (found.low, found.high, found.wish) == (low, high, wish)


def test_a_number_of_sentences_is_exact() -> None:
    found = parse({"sentences": "2"}, STYLES).sentences
    assert found and (found.low, found.high) == (2, 2)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("words", "many", "like 30, 20-40, <=50 or >=10"),
        ("words", "40-20", "like 30"),
        ("words", "<=0", "like 30"),
        ("words", "0", "like 30"),
        ("words", "<5-9", "like 30"),
        ("words", "-3", "like 30"),
        ("sentences", "1.5", "option sentences"),
        ("style", "baroque", "known: formal, informal"),
        ("format", "xml", "known: json, list, code:python"),
        ("samples", "0", "from 1 to 16"),
        ("samples", "a few", "from 1 to 16"),
    ],
)
def test_a_value_that_cannot_be_read_says_which_and_what_is_accepted(name: str, value: str, told: str) -> None:
    with pytest.raises(ValueError, match=name) as error:
        parse({name: value}, STYLES)
    assert told in str(error.value) and value in str(error.value)


def test_a_word_cannot_be_wished_for_and_against() -> None:
    with pytest.raises(ValueError, match="keywords and avoid both have 'storms'"):
        parse({"keywords": "storms", "avoid": "storm"}, STYLES)


def test_options_that_are_no_controls_are_left_alone() -> None:
    assert parse({"instruction": "Translate.", "speaker": "Ann", "words": " "}, STYLES) == controls.Controls()


def test_each_control_is_measured() -> None:
    assert measured(TEXT, words="10-20", sentences="4", keywords="storm, umbrellas", avoid="rain") == {
        "words": 1.0,
        "sentences": 1.0,
        "keywords": 1.0,
        "avoid": 1.0,
    }
    assert measured(TEXT, words="<=7")["words"] == 0.0
    assert measured(TEXT, words="<=10")["words"] == pytest.approx(0.6)
    assert measured(TEXT, words=">=28")["words"] == 0.5
    assert measured(TEXT, keywords="storm, sun")["keywords"] == 0.5
    assert measured(TEXT, avoid="storm, sun")["avoid"] == 0.5


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("umbrella", "Umbrellas help.", True),
        ("designed", "A designer's idea", True),
        ("red car", "two red cars", True),
        ("red car", "a car, red", False),
        ("art", "We start to party.", False),
        ("Straße", "Die STRAßE ist lang.", True),
        ("…", "nothing …", False),
    ],
)
def test_keywords_occur_in_any_of_their_forms(phrase: str, text: str, found: bool) -> None:
    assert occurs(phrase, text) is found


@pytest.mark.parametrize(
    ("style", "more", "less"),
    [
        ("formal", "Could you please confirm the date of the meeting?", "hey, wanna meet? can't wait!"),
        ("informal", "Hey, can't wait to see you!", "We hereby confirm the appointment."),
        ("polite", "Could you please send it? Thank you.", "Send it immediately, you idiot."),
        ("enthusiastic", "What a wonderful day!", "Unfortunately, the day was long."),
        (
            "simple",
            "It rained. We went home.",
            "Precipitation necessitated postponement, notwithstanding considerable organisational repercussions.",
        ),
        ("serious", "The results are worrying.", "lol, that is so cool!"),
    ],
)
def test_a_text_in_a_style_measures_more_than_one_in_another(style: str, more: str, less: str) -> None:
    assert styled(more, STYLES[style]) == 1.0 > styled(less, STYLES[style])


def test_a_style_that_nothing_measures_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one of has"):
        Style(told="an odd style")
    with pytest.raises(ValueError, match="no regular expression"):
        Style(told="an odd style", has=("~(",))


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("Der Hund ist in dem Haus und die Katze auch.", "German", 1.0),
        ("Der Hund ist in dem Haus und die Katze auch.", "deutsch", 1.0),
        ("The dog is in the house, and so is the cat.", "German", 0.0),
        ("Он был в доме, но она только для него так, и все это мы.", "russian", 1.0),
        ("Ja.", "German", 0.5),
    ],
)
def test_the_language_is_measured(text: str, language: str, value: float) -> None:
    assert measured(text, language=language)["language"] == value


def test_a_language_that_is_not_known_is_told_and_not_measured() -> None:
    assert measured("qapla'", language="Klingon") == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("json", '{"a": [1, 2]}', 1.0),
        ("json", "{a: 1}", 0.0),
        ("json", '"a"', 0.0),
        ("list", "- a\n- b", 1.0),
        ("list", "1. a\n2) b", 1.0),
        ("list", "Fruits:\n- a\n- b\n- c", 0.75),
        ("list", "a, b", 0.0),
        ("code:python", "def f(x):\n    return x", 1.0),
        ("code:python", "Sure", 0.0),
        ("code:python", "def f(x) return", 0.0),
        ("code:rust", "fn main() {}", None),
    ],
)
def test_formats_are_measured_by_their_own_parsers(name: str, text: str, value: float | None) -> None:
    assert formats.fulfilment(text, name) == value


@pytest.mark.parametrize(
    ("name", "reply", "kept"),
    [
        ("json", 'Here you are:\n```json\n{"a": 1}\n```\nEnjoy!', '{"a": 1}'),
        ("json", "No {braces} here", "No {braces} here"),
        ("list", "Fruits are:\n- a\n- b\n- b\nThat is all.", "- a\n- b"),
        ("list", "apples and pears", "apples and pears"),
        ("code:python", "Sure!\n```python\nx = 1\n```\nIt sets x.", "x = 1"),
        ("code:python", "```python\ndef f(x):\n    return x", "def f(x):\n    return x"),
        ("code:python", "def f(x):\n    return x\n\nThis returns x.", "def f(x):\n    return x"),
        ("code:python", "import os\nos.remove('/tmp/x')\n```", "import os\nos.remove('/tmp/x')"),
    ],
)
def test_what_is_in_the_format_is_taken_out_of_what_stands_around_it(name: str, reply: str, kept: str) -> None:
    assert formats.extract(reply, name) == kept


def test_code_is_never_run() -> None:
    ran: list[int] = []
    formats.fulfilment("raise SystemExit(1)", "code:python")
    formats.extract("```python\n__import__('sys').exit(1)\n```", "code:python")
    assert ran == []  # and the test is still here


def test_a_text_is_cut_after_a_sentence_and_never_inside_one() -> None:
    assert repaired(TEXT, words="<=10") == "The storm came at noon. We had no umbrella!"
    assert repaired(TEXT, sentences="1") == "The storm came at noon."
    assert repaired("One sentence that is far too long for this.", words="<=3") == (
        "One sentence that is far too long for this."
    )
    assert repaired(TEXT, words=">=2") == TEXT


def test_sentences_with_a_word_to_avoid_are_left_out() -> None:
    assert repaired("It was hot. The storms came. We ran.", avoid="storm") == "It was hot. We ran."
    assert repaired("The storm came.", avoid="storm") == "The storm came."


WORDS = st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=9)


@given(st.lists(WORDS, min_size=1, max_size=8), st.integers(1, 40))
def test_what_is_left_after_a_cut_are_the_first_whole_sentences(written: list[list[str]], most: int) -> None:
    sentences = [" ".join(words).capitalize() + "." for words in written]
    text = " ".join(sentences)
    cut = repaired(text, words=f"<={most}")
    assert text.startswith(cut) and cut.endswith(".") and cut
    assert count_words(cut) <= most or count_sentences(cut) == 1
    assert repaired(cut, words=f"<={most}") == cut


@given(
    st.text(max_size=200), st.sampled_from(["<=5", "2-4", "3"]), st.sampled_from(["json", "list", "code:python", ""])
)
def test_any_text_is_measured_within_zero_and_one_and_repaired(text: str, length: str, form: str) -> None:
    wishes = parse(
        {"words": length, "sentences": length, "keywords": "a, b", "avoid": "c", "language": "en", "style": "formal"}
        | ({"format": form} if form else {}),
        STYLES,
    )
    fixed, _ = repair(text, wishes)
    for one in (text, fixed):
        assert all(0 <= value <= 1 for value in fulfilment(one, wishes, STYLES, LANGUAGES).values())
