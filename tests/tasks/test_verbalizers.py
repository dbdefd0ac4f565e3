"""From labels to words: no model here."""

import pytest

from labelloop.prompting import Prompt, load_prompt
from labelloop.tasks.verbalizers import humanise, key, verbalize
from labelloop.words import Label

from .conftest import MakeField


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    return load_prompt("classification/v1")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("Sci/Tech", "science and technology"),
        ("card_payment_fee-charged", "card payment fee charged"),
        ("BookRestaurant", "Book Restaurant"),
        ("HTTPError", "HTTP Error"),
        ("comp.sys.mac", "computers systems mac"),
        ("Arts & Culture", "Arts and Culture"),
        ("reverted_card_payment?", "reverted card payment?"),
        ("日本語", "日本語"),
        ("🙂", "🙂"),
        ("___", "___"),
        ("-1", "-1"),
        ("C++", "C++"),
        ("food+drink", "food and drink"),
    ],
)
def test_humanise(prompt: Prompt, label: str, said: str) -> None:
    assert humanise(label, prompt.words) == said


def test_spellings_of_one_label_share_a_key() -> None:
    assert key("Science & Technology") == key("science_and_technology") == key("ScienceTechnology")
    assert key("positive 🙂") == key(" POSITIVE ") == "positive"


def test_every_label_of_any_field_has_words(prompt: Prompt, make_field: MakeField) -> None:
    field = make_field(["", " ", "___", "a", "A", "{label}", "{question}"], question="{description}")
    told = verbalize(field, prompt)
    assert all(texts and all(isinstance(text, str) for text in texts) for texts in told.texts)
    assert any("{question}" in text for text in told.texts[6])


def test_labels_that_explain_each_other(prompt: Prompt, make_field: MakeField) -> None:
    told = verbalize(make_field(["NEG", "1. Positive (good)"]), prompt)
    assert "a terrible movie" in told.texts[0] and "a wonderful movie" in told.texts[1]


def test_a_word_alone_is_not_read_as_part_of_a_group(prompt: Prompt, make_field: MakeField) -> None:
    told = verbalize(make_field(["love", "war", "plumbing", "tax"]), prompt)
    assert told.texts[0] == ("love", "This text is about love.")


def test_the_group_that_explains_most_labels_wins(prompt: Prompt, make_field: MakeField) -> None:
    labels = ["anger", "joy", "neutral", "sadness"]
    assert "I feel neutral." in verbalize(make_field(labels), prompt).texts[2]
    assert "a mediocre movie" in verbalize(make_field(["positive", "negative", "neutral"]), prompt).texts[2]


def test_descriptions_and_the_question_count(prompt: Prompt, make_field: MakeField) -> None:
    label = Label(path=("B7",), text="B7", description="parcels that are late")
    told = verbalize(make_field([label, "C2"], question="What is it about?"), prompt)
    assert {"parcels that are late", "B7: parcels that are late", "What is it about? B7"} <= set(told.texts[0])


def test_a_path_is_told_by_its_leaf_and_as_a_whole(prompt: Prompt, make_field: MakeField) -> None:
    told = verbalize(make_field([("Fruit", "Apple"), ("Company", "Apple")]), prompt)
    assert "Apple" in told.texts[0] and "Fruit, Apple" in told.texts[0] and "Company, Apple" in told.texts[1]


def test_a_label_that_says_none_of_these_has_no_meaning(prompt: Prompt, make_field: MakeField) -> None:
    assert verbalize(make_field(["bread", "milk", "Other"]), prompt).residual == {2}
    described = Label(path=("Other",), text="Other", description="toys")
    assert verbalize(make_field(["bread", "milk", described]), prompt).residual == frozenset()
    assert verbalize(make_field(["other", "none"]), prompt).residual == frozenset()


@pytest.mark.parametrize("steps", [2, 3, 5, 10, 11])
def test_a_scale_is_stretched_to_its_labels(prompt: Prompt, make_field: MakeField, steps: int) -> None:
    told = verbalize(make_field([str(i) for i in range(steps)], name="urgency", ordinal=True), prompt)
    scale = next(scale for scale in prompt.scales if "urgency" in scale.words)
    assert told.texts[0] == scale.steps[0] and told.texts[-1] == scale.steps[-1]
    assert len(told.texts) == steps


def test_a_scale_of_something_unknown_speaks_of_it(prompt: Prompt, make_field: MakeField) -> None:
    told = verbalize(make_field(["1", "2", "3"], name="clarity", ordinal=True), prompt)
    assert told.texts[0] == ("clarity: not at all, none",) and "clarity: extremely" in told.texts[2][0]
    asked = verbalize(make_field(["1", "2"], ordinal=True, question="How many stars?"), prompt)
    assert "One star." in asked.texts[0][0]


def test_what_a_person_reads_counts_not_the_alias(prompt: Prompt, make_field: MakeField) -> None:
    labels = [Label(path=("x1",), text="Positive"), Label(path=("x2",), text="Negative")]
    told = verbalize(make_field(labels), prompt)
    assert "a wonderful movie" in told.texts[0] and not any("x1" in text for text in told.texts[0])
    nested = Label(path=("t", "x3"), text="Travel > Trains")
    assert "Travel, Trains" in verbalize(make_field([nested, "other things"]), prompt).texts[0]
