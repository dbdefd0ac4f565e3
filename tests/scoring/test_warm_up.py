"""What a worker warms up with: every kind of field, with the real starter models."""

from __future__ import annotations

from pathlib import Path

from labelloop import connect, tasks
from labelloop.scoring.worker import _greetings
from labelloop.settings import FieldSetting, Settings
from labelloop.studio.schema import read_config
from labelloop.words import STRUCTURED, WRITTEN

EVERY = """
<View>
  <Relations><Relation value="works for"/></Relations>
  <Labels name="ner" toName="text"><Label value="Person"/><Label value="Company"/></Labels>
  <Text name="text" value="$text"/>
  <Choices name="tone" toName="text" perRegion="true"><Choice value="good"/><Choice value="bad"/></Choices>
  <Choices name="topic" toName="text"><Choice value="news"/><Choice value="sport"/></Choices>
  <Choices name="own" toName="text" value="$options"/>
  <Text name="question" value="$question"/>
  <TextArea name="answer" toName="text"/>
  <Text name="a" value="$a"/><Text name="b" value="$b"/>
  <Pairwise name="pair" toName="a,b"/>
  <List name="list" value="$items"/><Ranker name="rank" toName="list"/>
  <TextArea name="summary" toName="text"/>
  <TextArea name="translation_german" toName="text"/>
  <TextArea name="free" toName="text"/><TextArea name="reply" toName="text"/><TextArea name="told" toName="text"/>
</View>
"""
TOLD = {
    "free": FieldSetting(task="question_answering"),
    "reply": FieldSetting(task="dialogue"),
    "told": FieldSetting(task="generation", instruction="Say it in verse."),
}


def test_every_kind_of_field_is_warmed_up_by_an_answer(tmp_path: Path) -> None:
    cpu = Settings(data_dir=tmp_path, device="cpu")
    schema = read_config(EVERY, TOLD)
    assert {field.kind for field in schema.fields} == {*STRUCTURED, "classification"}, schema.skipped
    bundle = tasks.make_bundle(schema.fields, cpu)
    ((*answers,),) = tasks.answer(bundle, [_greetings(bundle)], cpu)
    assert [answer.field for answer in answers] == [one.name for one in schema.fields if one.kind not in WRITTEN]


def test_connect_tells_what_each_control_is_filled_with() -> None:
    offers = {field.name: connect._offer(field) for field in read_config(EVERY).fields}
    assert offers["ner"] == "passages of 2 labels" and offers["relations"] == "relations of 1 label"
    assert offers["topic"] == "one of 2 labels" and offers["own"] == "one of the labels in each task's 'options'"
    assert offers["tone"] == "for each region one of 2 labels"
