"""Labels that have another name by now: annotations that keep the old one are read as if they had the new."""

from __future__ import annotations

import pytest

from labelloop.errors import RequestError, SettingsError
from labelloop.settings import Direction, get_settings
from labelloop.studio.annotations import read_annotation
from labelloop.studio.directions import read_extra
from labelloop.studio.schema import Schema, read_config
from labelloop.words import Path
from support.round_trip_cases import MEETING, TEXT, Json, passage, region, related

CONFIG = f"""<View>{TEXT}<Choices name="topic" toName="t"><Choice value="Technology"/><Choice value="Art"/></Choices>
<Taxonomy name="tree" toName="t"><Choice value="News"><Choice value="Technology"/></Choice></Taxonomy>
<Labels name="labels" toName="t"><Label value="Human"/></Labels>
<Relations><Relation value="near"/></Relations><Rating name="stars" toName="t"/></View>"""
RENAMED = {
    "topic": {"Sci": "Sci/Tech", "Sci/Tech": "Technology", "Art": "Technology", "Sport": "Games"},
    "tree": {"News > Sci": "News > Technology"},
    "labels": {"Person": "Human"},
    "relations": {"meets": "near"},
    "stars": {"1": "2"},
}


def schema() -> Schema:
    return read_config(CONFIG, {name: Direction(renamed=renamed) for name, renamed in RENAMED.items()})


def of(name: str, kind: str, value: Json) -> Json:
    return {**region(kind, value), "from_name": name}


@pytest.mark.parametrize(
    ("stored", "meant"),
    [("Sci", "Technology"), ("Sci/Tech", "Technology"), ("Art", "Art"), ("Technology", "Technology"), ("Sport", None)],
)
def test_a_choice_means_the_label_of_today(stored: str, meant: str | None) -> None:
    found = read_annotation(schema().fields, {"t": MEETING}, [of("topic", "choices", {"choices": [stored]})])
    assert found["topic"].labels == ((meant,),) if meant else "topic" not in found


def test_paths_spans_and_relations_are_renamed_too() -> None:
    result = [
        of("tree", "taxonomy", {"taxonomy": [["News", "Sci"]]}),
        passage(MEETING, "Ada", "Person"),
        passage(MEETING, "Bob", "Human", "b"),
        related("a", "b", labels=["meets"]),
    ]
    found = read_annotation(schema().fields, {"t": MEETING}, result)
    assert found["tree"].labels == (("News", "Technology"),)
    assert [span.label for span in found["labels"].spans] == [("Human",), ("Human",)]
    assert [link.label for link in found["relations"].links] == ["near"]


def test_what_leads_nowhere_is_noted_and_steps_of_a_scale_have_no_names() -> None:
    made = schema()
    (note,) = [one for one in made.notes if "renamed" in one and "Sport" in one]
    assert note == '"Sport" of "topic" is renamed to "Games", which the label config does not have'
    formerly: dict[str, tuple[tuple[Path, Path], ...]] = {field.name: field.formerly for field in made.fields}
    assert formerly["stars"] == () and len(formerly["topic"]) == 2


def test_the_file_renames_and_wrong_names_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("file") / "labelloop.toml"
    file.write_text('[fields.topic.renamed]\n"Sci/Tech" = "Technology"\n')
    monkeypatch.setenv("LABELLOOP_CONFIG", str(file))
    assert get_settings().fields["topic"].renamed == {"Sci/Tech": "Technology"}
    get_settings.cache_clear()
    monkeypatch.setenv("LABELLOOP_FIELDS", '{"topic": {"renamed": {"A": "B", "B": "A"}}}')
    with pytest.raises(SettingsError, match=r"FIELDS topic renamed.*circle: A > B > A"):
        get_settings()
    with pytest.raises(RequestError, match=r"topic.*renamed.*is empty"):
        read_extra({"fields": {"topic": {"renamed": {"A": " "}}}})
