"""Every control tag of Label Studio 1.23.2: filled, or left to people with a sentence of its own."""

import pytest

from labelloop.studio.schema import read_config

# As its editor registers them and its SDK knows them, but for those that any config can have filled.
_NAMES = """
    Labels HyperTextLabels ParagraphLabels TextArea DateTime Pairwise Ranker Rectangle RectangleLabels Ellipse
    EllipseLabels Polygon PolygonLabels KeyPoint KeyPointLabels Brush BrushLabels Bitmask BitmaskLabels Vector
    VectorLabels MagicWand VideoRectangle VideoVector VideoVectorLabels TimelineLabels TimeSeriesLabels OcrLabels
    ChatMessage CustomInterface ReactCode
"""
CONTROLS = _NAMES.split()
OBJECTS = ["Image", "Audio", "AudioPlus", "Video", "TimeSeries", "Table", "List", "Pdf", "Website", "Markdown"]
TEXT = '<Text name="text" value="$text"/>'
TWO = '<Choice value="A"/><Choice value="B"/>'


@pytest.mark.parametrize("tag", CONTROLS)
@pytest.mark.parametrize("spelling", [str, str.lower])
def test_every_other_control_is_left_to_people_with_a_reason(tag: str, spelling: type[str]) -> None:
    schema = read_config(f'<View>{TEXT}<{spelling(tag)} name="c" toName="text"/></View>')
    assert schema.fields == () and list(schema.skipped) == ["c"]
    assert schema.skipped["c"].startswith("it ") and "not supported" not in schema.skipped["c"]


@pytest.mark.parametrize(
    ("tag", "words"),
    [("DateTime", "date"), ("BrushLabels", "image"), ("VideoRectangle", "video"), ("TimelineLabels", "recording")],
)
def test_the_reason_says_what_the_control_is_for(tag: str, words: str) -> None:
    assert words in read_config(f'<View>{TEXT}<{tag} name="c" toName="text"/></View>').skipped["c"]


def test_labels_on_a_recording_are_no_spans_of_text() -> None:
    schema = read_config(
        '<View><Audio name="a" value="$a"/><Labels name="c" toName="a"><Label value="x"/></Labels></View>'
    )
    assert "<Audio " in schema.skipped["c"] and "only Text" in schema.skipped["c"]


@pytest.mark.parametrize("tag", OBJECTS)
def test_controls_of_other_objects_say_what_they_read(tag: str) -> None:
    schema = read_config(f'<View><{tag} name="o" value="$o"/><Choices name="c" toName="o">{TWO}</Choices></View>')
    assert f"<{tag} " in schema.skipped["c"] and list(schema.skipped) == ["c"]


@pytest.mark.parametrize(
    "control", ['<Rating name="c" toName="chat"/>', f'<Taxonomy name="c" toName="chat">{TWO}</Taxonomy>']
)
def test_a_chat_is_read_and_its_messages_are_left_to_people(control: str) -> None:
    plain = read_config(f'<View><Chat name="chat" value="$messages"/>{control}</View>')
    assert [field.name for field in plain.fields] == ["c"] and plain.skipped == {}
    (source,) = plain.fields[0].sources
    assert (source.tag, source.key, source.name_key, source.text_key) == ("Chat", "messages", "role", "content")
    live = read_config(f'<View><Chat name="chat" value="$messages" toName="chat" llm="a/b"/>{control}</View>')
    assert live.fields == plain.fields
    assert "conversation" in live.skipped["chat"]
