"""Fields that need another field's regions: the same answers whoever asks for what, with the real starter encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop import tasks
from labelloop.settings import Settings
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import read_config
from labelloop.words import Bundle, Reading

QUESTION = """<View>
  <Header value="What is the main city?"/>
  <Text name="question" value="$question"/>
  <Labels name="answer" toName="text"><Label value="Answer"/></Labels>
  <Text name="text" value="$text"/>
  <Choices name="sure" toName="text" perRegion="true"><Choice value="Sure"/><Choice value="Unsure"/></Choices>
</View>"""
PASSAGE = "Gustave Eiffel built the tower in Paris. It was finished in 1889."
MIXED = ("Person", "City", "Foo", "Term")


@pytest.fixture
def asking(tmp_path: Path) -> Bundle:
    return tasks.make_bundle(read_config(QUESTION).fields, Settings(data_dir=tmp_path, device="cpu"))


@pytest.fixture
def cpu(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, device="cpu")


def test_regions_that_a_question_finds_belong_to_that_question(asking: Bundle, cpu: Settings) -> None:
    items = []
    for question in ("Who built the tower?", "When was it finished?"):
        texts, problems = render_all(asking.fields, {"question": question, "text": PASSAGE})
        assert not problems
        items.append(texts)
    assert items[0]["sure"] != items[1]["sure"]  # else one would be answered from the other's cache
    together = tasks.answer(asking, items, cpu)
    for texts, (answer, sure) in zip(items, together, strict=True):
        assert [remark.span for remark in sure.remarks] == list(answer.spans)
        ((alone,),) = tasks.answer(asking, [{"sure": texts["sure"]}], cpu)
        assert alone == sure
    assert any(answer.spans for answer, _ in together)


@pytest.mark.parametrize("data", [{"text": PASSAGE}, {"text": PASSAGE, "question": None}])
def test_without_its_question_nothing_is_answered_or_described(asking: Bundle, cpu: Settings, data: dict) -> None:
    texts, problems = render_all(asking.fields, data)
    assert texts == {} and set(problems) == {"answer", "sure"}
    assert "question" in problems["answer"] and problems["sure"] == problems["answer"]


def test_a_header_does_not_stand_in_for_an_empty_question(asking: Bundle, cpu: Settings) -> None:
    texts, _ = render_all(asking.fields, {"question": " ", "text": PASSAGE})
    ((answer, sure),) = tasks.answer(asking, [texts], cpu)
    assert answer.reason == "There is no question." and not answer.spans and not sure.remarks


def test_names_of_speakers_are_read_and_not_marked(cpu: Settings) -> None:
    config = """<View><ParagraphLabels name="ner" toName="talk"><Label value="Person"/></ParagraphLabels>
    <Paragraphs name="talk" value="$talk"/></View>"""
    fields = read_config(config).fields
    data = {"talk": [{"author": "Bob", "text": "Hello there"}, {"author": "Ann", "text": "I met Tim Cook today."}]}
    texts, _ = render_all(fields, data)
    ((answer,),) = tasks.answer(tasks.make_bundle(fields, cpu), [texts], cpu)
    assert [span.text for span in answer.spans] == ["Tim Cook"]
    documents = Documents(fields, data)
    made = prediction(fields, [answer], "v1-abc", documents)
    assert validate(made, fields, documents) == (made, [])


@pytest.mark.parametrize("value", ["Hi, I met Tim Cook", [{"words": "Hi"}], [["Hi"]]])
def test_data_that_the_editor_does_not_show_is_a_problem_and_no_empty_answer(value: object) -> None:
    config = """<View><ParagraphLabels name="ner" toName="talk"><Label value="Person"/></ParagraphLabels>
    <Paragraphs name="talk" value="$talk"/></View>"""
    texts, problems = render_all(read_config(config).fields, {"talk": value})
    assert texts == {} and "ner" in problems


def test_labels_that_nothing_explains_take_nothing_from_the_others(cpu: Settings) -> None:
    labels = "".join(f'<Label value="{name}"/>' for name in MIXED)
    config = f'<View><Labels name="ner" toName="t">{labels}</Labels><Text name="t" value="$t"/></View>'
    fields = read_config(config).fields
    texts, _ = render_all(fields, {"t": "Angela Merkel lives in Berlin. The handle of the door is broken."})
    ((answer,),) = tasks.answer(tasks.make_bundle(fields, cpu), [texts], cpu)
    found = {span.text: span.label[0] for span in answer.spans}
    assert (found["Angela Merkel"], found["Berlin"]) == ("Person", "City") and found.get("door", "Term") == "Term"


def test_where_regions_stand_is_part_of_the_version_of_fields_with_regions_only(cpu: Settings) -> None:
    def digest(control: str, inline: str) -> str:
        config = f'<View><HyperText name="t" value="$t" {inline}/>{control}</View>'
        return tasks.make_bundle(read_config(config).fields, cpu).digest

    choices = '<Choices name="c" toName="t"><Choice value="a"/><Choice value="b"/></Choices>'
    labels = '<HyperTextLabels name="l" toName="t"><Label value="Person"/></HyperTextLabels>'
    assert digest(choices, "") == digest(choices, 'inline="true"')
    assert digest(labels, "") != digest(labels, 'inline="true"')


def test_a_reading_travels_as_json_and_back() -> None:
    fields = read_config(QUESTION).fields
    texts, _ = render_all(fields, {"question": "Who?", "text": PASSAGE})
    reading = Reading.model_validate_json(texts["sure"])
    assert reading.queries == (("answer", "Who?"),) and json.loads(texts["sure"])["passages"][0]["text"] == PASSAGE
