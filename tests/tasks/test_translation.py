"""Translation: into which language, what is shown, and what is no translation; with scripted replies."""

import pytest

from labelloop.engines import Written
from labelloop.prompting import load_file
from labelloop.tasks import translation
from labelloop.tasks.languages import guess, named
from labelloop.tasks.writing import answer
from labelloop.words import Answer, Field, FieldPlan, Passage, Reading
from support.scripted import Scripted

PROMPT = load_file("translation/v1", "", translation.Prompt)


def translate(writer: Scripted, *texts: str, name: str = "out", question: str = "", **options: str) -> list[Answer]:
    told = tuple(sorted(options.items()))
    field = Field(
        name=name,
        tag="TextArea",
        kind="translation",
        to_name="t",
        labels=(),
        sources=(),
        question=question,
        options=told,
    )
    field = field.model_copy(update={"question": question})
    plan = FieldPlan(field=field, engine="causal", model="m", revision="r", prompt="p/v1", prompt_hash="")
    readings = [Reading(passages=(Passage(name="t", text=text),)) for text in texts]
    return answer(translation.CRAFT, plan, readings, writer, PROMPT.model_copy(update={"samples": 1}))


@pytest.mark.parametrize(
    ("text", "told", "system"),
    [
        ("The dog is in the garden.", {"target_language": "German"}, "from English to German"),
        ("The dog is in the garden.", {"target_language": "de"}, "from English to German"),
        ("The dog is in the garden.", {"name": "french_translation"}, "from English to French"),
        ("Der Hund ist im Garten.", {}, "from German to English"),
        ("Der Hund ist im Garten.", {"question": "Übersetzung ins Englisch"}, "from German to English"),
        ("Qwerty asdf.", {"question": "Translate from Dutch into Spanish"}, "from Dutch to Spanish"),
        ("The dog is in the garden.", {"target_language": "Klingon"}, "from English to Klingon"),
        ("猫が庭にいます。", {"target_language": "Portuguese"}, "from Japanese to Portuguese"),
    ],
)
def test_the_languages_come_from_options_names_or_the_text(text: str, told: dict[str, str], system: str) -> None:
    writer = Scripted("Etwas ganz anderes.")
    translate(writer, text, **told)
    assert system in writer.asks[0].messages[0][1]


def test_without_a_language_to_translate_into_the_answer_says_what_to_set() -> None:
    (found,) = translate(Scripted(), "The dog is in the garden.")
    assert found.texts == () and "target_language" in (found.reason or "")


def test_sentences_in_both_languages_are_shown_before_the_text() -> None:
    writer = Scripted("O cão está no jardim.")
    translate(writer, "De hond is in de tuin en het regent.", target_language="Portuguese")
    turns = writer.asks[0].messages
    assert len(turns) >= 8 and turns[1] == ("user", "Dutch: De oude man leest een krant in de keuken.\nPortuguese:")
    assert turns[2] == ("assistant", "O homem idoso lê um jornal na cozinha.")


def test_lines_and_sentences_keep_their_order_and_the_space_between_them() -> None:
    writer = Scripted("Eins.", "Zwei.", "Drei.")
    (found,) = translate(writer, "The first one. The second one.\n\nThe third one.", target_language="German")
    assert found.texts == ("Eins. Zwei.\n\nDrei.",) and found.provenance["windows"] == 3


def test_what_is_no_translation_leaves_the_text_word_by_word_with_a_low_score() -> None:
    source = "The dog is in the forest and the axolotl is on the roof."
    replies = [source, "The dog was in the water with the bird.", "Der " * 60, "", "fisher" * 20]
    for found in translate(Scripted(*replies), *[source] * 5, target_language="German"):
        assert found.texts == ("Der Hund ist in der Wald und der axolotl ist auf der roof.",)
        assert found.provenance["origin"] == "word by word, by the glossary"
        assert found.score <= 0.3 and found.provenance["refused"]


def test_without_words_of_both_languages_the_text_is_copied() -> None:
    (found,) = translate(Scripted(""), "The dog sleeps here.", target_language="Finnish")
    assert found.texts == ("The dog sleeps here.",) and found.provenance["origin"] == "copied"


def test_words_of_the_glossary_stand_beside_the_text() -> None:
    writer = Scripted("Zwei Hunde schlafen unter dem Baum.")
    (found,) = translate(writer, "Two dogs sleep under the tree.", target_language="German")
    assert "two = zwei, dogs = Hund" in writer.asks[0].messages[-1][1]
    assert found.texts == ("Zwei Hunde schlafen unter dem Baum.",) and found.provenance["origin"] == "written"


def test_an_unsure_reply_without_the_words_of_the_glossary_is_refused() -> None:
    unsure = Written("Das Wetter war gestern schlecht.", -1.4, 5, True)
    (found,) = translate(Scripted(unsure), "A red dog and a bird.", target_language="German")
    assert found.texts == ("Ein rot Hund und ein Vogel.",)
    assert found.provenance["refused"] == {"unsure, and leaves out what the glossary has": 1}
    (sure,) = translate(
        Scripted(Written("Ein Rüde in Rot; dazu Vögel.", -0.2, 6, True)),
        "A red dog and a bird.",
        target_language="German",
    )
    assert sure.texts == ("Ein Rüde in Rot; dazu Vögel.",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A man in a blue shirt is standing on a ladder.", "en"),
        ("Ein Mann steht auf einer Leiter und putzt das Fenster.", "de"),
        ("Een man zit op een stoel en leest.", "nl"),
        ("En man sitter på en stol och läser.", "sv"),
        ("O cão corre pela rua e não para.", "pt"),
        ("El perro corre por la calle.", "es"),
        ("Кошка сидит на столе, и он её не видит.", "ru"),
        ("我喜欢猫", "zh"),
        ("猫が好きです", "ja"),
        ("고양이를 좋아합니다", "ko"),
        ("OK", ""),
        ("12 34", ""),
    ],
)
def test_the_language_of_a_text(text: str, code: str) -> None:
    assert guess(text, PROMPT.languages) == code


def test_language_names_are_whole_words() -> None:
    assert named("Germanic words; a Spanish and an English text", PROMPT.languages) == ["es", "en"]
