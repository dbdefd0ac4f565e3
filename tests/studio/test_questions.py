"""Which object is a question, which text answers it, and which controls then take the answer."""

import pytest

from labelloop.studio.schema import Schema, read_config


def read(inner: str) -> Schema:
    return read_config(f"<View>{inner}</View>")


def told(schema: Schema) -> dict[str, tuple[str, list[str], list[str]]]:
    """Of each field its kind, the objects it reads, and the question."""
    return {
        field.name: (field.kind, [one.name for one in field.sources], [one.name for one in field.query])
        for field in schema.fields
    }


PAIR = '<Text name="question" value="$question"/><Text name="context" value="$context"/>'
ANSWER = '<Labels name="a" toName="context"><Label value="Answer"/></Labels>'


@pytest.mark.parametrize(
    "objects",
    [
        PAIR,
        '<Text name="one" value="$user_query"/><HyperText name="context" value="$html"/>',
        '<Header value="Question"/><Text name="one" value="$a"/><Text name="context" value="$b"/>',
        '<Text name="q" value="$q"/><Text name="context" value="$c"/><Text name="title" value="$title"/>',
        '<Text name="context" value="$passage"/><View><Text name="askedQuestion" value="$x"/></View>',
        '<Paragraphs name="context" value="$turns"/><Text name="question" value="$x"/>',
    ],
)
def test_one_label_on_the_text_beside_a_question_is_its_answer(objects: str) -> None:
    ((kind, sources, query),) = told(read(objects + ANSWER)).values()
    assert (kind, sources, len(query)) == ("extraction", ["context"], 1)


@pytest.mark.parametrize(
    ("objects", "labels"),
    [
        ('<Text name="context" value="$c"/>', '<Label value="Answer"/>'),
        (PAIR, '<Label value="PER"/><Label value="ORG"/>'),
        ('<Text name="q1" value="$question1"/><Text name="context" value="$question2"/>', '<Label value="Answer"/>'),
        ('<Text name="question" value="What is it?"/><Text name="context" value="$c"/>', '<Label value="Answer"/>'),
        ('<Image name="question" value="$image"/><Text name="context" value="$c"/>', '<Label value="Answer"/>'),
    ],
)
def test_other_labels_are_entities(objects: str, labels: str) -> None:
    schema = read(f'{objects}<Labels name="a" toName="context">{labels}</Labels>')
    assert told(schema) == {"a": ("entities", ["context"], [])}


@pytest.mark.parametrize(
    "control",
    [
        '<Labels name="label" toName="context"><Label value="Supporting sentence"/></Labels>',
        '<Labels name="label" toName="context"><Label value="Réponse"/></Labels>',
        '<Labels name="label" toName="context"><Label value="RÉPONSE"/></Labels>',
        '<Labels name="label" toName="context"><Label value="正确答案"/></Labels>',
        '<Labels name="label" toName="context"><Label value="Ответ"/></Labels>',
        '<Labels name="answerSpan" toName="context"><Label value="Here"/></Labels>',
        '<Header value="Mark what answers it"/><Labels name="a" toName="context"><Label value="Here"/></Labels>',
        '<Header value="Markiere die Antwort"/><Labels name="a" toName="context"><Label value="Hier"/></Labels>',
    ],
)
def test_one_label_marks_the_answer_where_it_its_control_or_its_header_says_so(control: str) -> None:
    (field,) = read(PAIR + control).fields
    assert (field.kind, [one.name for one in field.query]) == ("extraction", ["question"])


@pytest.mark.parametrize(
    "control",
    [
        '<Labels name="label" toName="context"><Label value="Person"/></Labels>',
        '<Labels name="brands" toName="context"><Label value="Brand"/></Labels>',
        '<Header value="Highlight every person in the passage"/>'
        '<Labels name="label" toName="context"><Label value="Person"/></Labels>',
    ],
)
def test_one_label_that_names_an_entity_stays_one_beside_a_question(control: str) -> None:
    objects = '<Text name="query" value="$query"/><Text name="context" value="$context"/>'
    (field,) = read(objects + control).fields
    assert (field.kind, field.query) == ("entities", ())


def test_the_editors_own_template_of_question_answering() -> None:
    text = '<Header value="Please read the passage"/><Text name="text" value="$text" granularity="word"/>'
    asks = '<Header value="Select a text span answering the following question:"/>'
    question = '<Text name="question" value="$question"/>'
    label = '<Labels name="answer" toName="text"><Label value="Answer"/></Labels>'
    for inner in (
        text + asks + question + label,
        text + asks + question + label.replace("Answer", "Here").replace("answer", "label"),
    ):
        assert told(read(inner)) == {next(iter(told(read(inner)))): ("extraction", ["text"], ["question"])}


def test_labels_on_the_question_itself_are_entities() -> None:
    assert told(read(PAIR + ANSWER.replace('toName="context"', 'toName="question"')))["a"][0] == "entities"


@pytest.mark.parametrize(
    "box",
    [
        '<TextArea name="answer" toName="question"/>',
        '<TextArea name="a" toName="context"/>',
        '<TextArea name="response" toName="context" placeholder="Answer the question"/>',
        '<Header value="Answer the question"/><TextArea name="a" toName="question"/>',
    ],
)
def test_a_text_box_beside_a_question_takes_its_answer(box: str) -> None:
    (field,) = read(PAIR + box).fields
    assert (field.kind, field.tag, [one.name for one in field.sources]) == ("extraction", "TextArea", ["context"])
    assert [one.name for one in field.query] == ["question"]
    assert f'toName="{field.to_name}"' in box


@pytest.mark.parametrize(
    "inner",
    [
        f'{PAIR}<TextArea name="summary" toName="context"/>',
        f'{PAIR}<TextArea name="a" toName="context" placeholder="Translate the text"/>',
        f'{PAIR}<Header value="Explain your answer"/><TextArea name="a" toName="context"/>',
        f'{PAIR}<TextArea name="question_rewritten" toName="question"/>',
        f'{PAIR}<TextArea name="corrected_answer" toName="context"/>',
        f'{PAIR}<TextArea name="a" toName="context" perRegion="true"/>',
        '<Text name="question" value="$q"/><Text name="answer" value="$a"/><TextArea name="a" toName="answer"/>',
        '<Text name="text" value="$t"/><TextArea name="answer" toName="text"/>',
    ],
)
def test_other_text_boxes_quote_nothing(inner: str) -> None:
    schema = read(inner)
    assert "extraction" not in {field.kind for field in schema.fields}
    assert len(schema.fields) + len(schema.skipped) == 1
