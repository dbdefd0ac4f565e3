"""What labels mean as types of passages, without a model."""

from collections.abc import Sequence

import numpy as np
import pytest

from labelloop.errors import SettingsError
from labelloop.prompting import load_file
from labelloop.tasks.entity_labels import Meaning, meanings, told
from labelloop.tasks.entity_prompt import EntityPrompt
from labelloop.words import Label

PROMPT = load_file("entities/v1", "", EntityPrompt)


def unlike(texts: Sequence[str], labels: Sequence[Sequence[str]]) -> np.ndarray:
    """Nothing is similar to anything."""
    return np.zeros((len(texts), len(labels)), np.float32)


def like(**pairs: str):
    """Similar are only these: a label's words to a type."""
    names = list(PROMPT.types)

    def similarity(texts: Sequence[str], labels: Sequence[Sequence[str]]) -> np.ndarray:
        made = unlike(texts, labels)
        for row, text in enumerate(texts):
            for words, kind in pairs.items():
                if words in text:
                    made[row, names.index(kind)] = 0.9
        return made

    return similarity


def mean(*names: str | Label, similarity=unlike) -> tuple[Meaning, dict[str, str]]:
    labels = [name if isinstance(name, Label) else Label(path=(name,), text=name) for name in names]
    meaning = meanings(labels, PROMPT, similarity)
    owner = {
        kind: "+".join(labels[index].path[-1] for index in sorted(owners)) for kind, owners in meaning.owners.items()
    }
    return meaning, owner


def test_labels_are_found_by_their_spelling() -> None:
    for names in (("PER", "ORG", "LOC"), ("Person", "Organisation", "Place"), ("B-PER", "B-ORG", "B-LOC")):
        _, owner = mean(*names)
        assert (owner["person"], owner["organization"], owner["location"]) == names
        assert owner["date"] == owner["event"] == ""


def test_a_wider_label_takes_what_has_no_label_of_its_own() -> None:
    _, owner = mean("City", "Location", "Organization")
    assert owner["city"] == "City"
    assert {owner[kind] for kind in ("country", "region", "landform", "facility")} == {"Location"}
    assert {owner[kind] for kind in ("company", "team", "band", "media", "institution")} == {"Organization"}


def test_miscellaneous_takes_the_names_that_are_left_and_nothing_else() -> None:
    _, owner = mean("person", "organization", "location", "miscellaneous")
    assert {owner[kind] for kind in ("event", "work", "group", "product", "language")} == {"miscellaneous"}
    assert owner["date"] == owner["food"] == owner["number"] == ""
    assert mean("Person", "MISC")[1]["city"] == "MISC"


def test_a_label_for_any_entity_takes_all() -> None:
    _, owner = mean("Entity")
    assert set(owner.values()) == {"Entity"}
    assert mean("Date", "Entity")[1]["date"] == "Date"


def test_a_label_that_is_spelled_otherwise_is_found_by_what_its_words_are_similar_to() -> None:
    meaning, owner = mean("Goalkeeper", "City", similarity=like(Goalkeeper="person"))
    assert owner["person"] == "Goalkeeper" and owner["city"] == "City" and not meaning.free
    _, owner = mean("Person", "Goalkeeper", similarity=like(Goalkeeper="person"))
    assert owner["person"] == "Person+Goalkeeper"


def test_a_hint_says_more_than_a_vague_name() -> None:
    hinted = Label(path=("Term",), text="Term", description="a chemical")
    _, owner = mean(hinted, similarity=like(chemical="substance"))
    assert owner["substance"] == "Term" and owner["thing"] == ""
    assert mean("Term")[1]["thing"] == "Term"


def test_a_label_that_nothing_explains_is_free() -> None:
    meaning, owner = mean("Zorblax", "Person")
    assert meaning.free == {0} and owner["person"] == "Person"


def test_labels_are_told_in_words_with_their_hints() -> None:
    assert told(Label(path=("x",), text="Cooking_tool (any)")) == "Cooking tool"
    assert told(Label(path=("x",), text="Term", description="a chemical")) == "Term: a chemical"


def test_a_prompt_with_an_unknown_type_is_refused_by_name(tmp_path) -> None:
    folder = tmp_path / "entities"
    folder.mkdir()
    content = (PROMPT_FILE := _shipped()).replace("[Maria Lopez|person]", "[Maria Lopez|persn]", 1)
    assert content != PROMPT_FILE
    (folder / "v1.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match="persn"):
        load_file("entities/v1", str(tmp_path), EntityPrompt)


def _shipped() -> str:
    from labelloop.prompting import _find

    return _find("entities/v1", "").read_text(encoding="utf-8")


def test_markup_is_taken_off_and_offsets_are_those_of_the_bare_sentence() -> None:
    for sentence in PROMPT.marked:
        assert "|" not in sentence.text
        for start, end, kind in sentence.passages:
            assert kind in PROMPT.types and sentence.text[start:end].strip() == sentence.text[start:end] != ""
