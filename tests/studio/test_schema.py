"""Label configs as people write them: what becomes a field, what is left to people and why, what is refused."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from labelloop.errors import ConfigError
from labelloop.studio.documents import Documents
from labelloop.studio.render import render_all
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import Schema, read_config
from labelloop.words import Field
from studio.strategies import any_configs

TEXT = '<Text name="text" value="$text"/>'
TWO = '<Choice value="A"/><Choice value="B"/>'


def read(inner: str) -> Schema:
    return read_config(f"<View>{inner}</View>")


def only(inner: str) -> Field:
    schema = read(TEXT + inner)
    assert not schema.skipped
    (field,) = schema.fields
    return field


def reason(inner: str, name: str = "c") -> str:
    schema = read(inner)
    assert [field.name for field in schema.fields] == []
    return schema.skipped[name]


def paths(field: Field) -> list[tuple[str, ...]]:
    return [label.path for label in field.labels]


def test_a_single_choice_stores_the_alias_and_reads_the_value() -> None:
    field = only(
        '<Choices name="topic" toName="text"><Choice value="Sport &amp; fun" alias="sp" hint="matches, players"/>'
        '<Choice value="Art"/></Choices>'
    )
    assert (field.tag, field.kind, field.to_name, field.multiple, field.nested) == (
        "Choices",
        "classification",
        "text",
        False,
        False,
    )
    assert [(label.path, label.text, label.description) for label in field.labels] == [
        (("sp",), "Sport & fun", "matches, players"),
        (("Art",), "Art", ""),
    ]
    assert [(source.name, source.tag, source.key) for source in field.sources] == [("text", "Text", "text")]


@pytest.mark.parametrize(
    ("choice", "multiple"), [("", False), ("single", False), ("single-radio", False), ("multiple", True)]
)
def test_several_labels_are_allowed_only_by_choice_multiple(choice: str, multiple: bool) -> None:
    attribute = f'choice="{choice}"' if choice else ""
    assert only(f'<Choices name="c" toName="text" {attribute}>{TWO}</Choices>').multiple is multiple


def test_nested_choices_offer_their_leaves_as_paths() -> None:
    field = only(
        '<Choices name="c" toName="text" allowNested="true"><Choice value="Animal" alias="an">'
        '<Choice value="Cat" hint="meows"/><Choice value="Dog" alias="d"/></Choice><Choice value="Stone"/></Choices>'
    )
    assert field.nested
    assert paths(field) == [("an", "Cat"), ("an", "d"), ("Stone",)]
    assert [label.text for label in field.labels] == ["Animal > Cat", "Animal > Dog", "Stone"]
    assert field.labels[0].description == "meows"


def test_without_allownested_the_editor_shows_the_outer_choices_only() -> None:
    field = only(
        '<Choices name="c" toName="text"><Choice value="A"><Choice value="A1"/></Choice><Choice value="B"/></Choices>'
    )
    assert paths(field) == [("A",), ("B",)]
    assert not field.nested


def test_choices_may_stand_inside_layout_tags_and_repeat_only_once() -> None:
    field = only(
        '<Choices name="c" toName="text"><View><Header value="x"/><Choice value="A"/></View>'
        '<View><Choice value="B"/><Choice value="A" hint="again"/></View></Choices>'
    )
    assert paths(field) == [("A",), ("B",)]
    assert field.labels[0].description == ""


def test_a_choice_shows_its_html_in_place_of_its_value() -> None:
    field = only(
        '<Choices name="c" toName="text"><Choice value="pos" html="&lt;b&gt;Very&lt;/b&gt; happy, $5"/>'
        '<Choice value="neg" html="&lt;img src=x&gt;"/></Choices>'
    )
    assert [(label.path, label.text) for label in field.labels] == [(("pos",), "Very happy, $5"), (("neg",), "neg")]


def test_taxonomy_offers_inner_nodes_unless_leaves_only() -> None:
    tree = (
        '<Choice value="A" alias="a"><Choice value="A1"/><Choice value="A2"><Choice value="deep"/></Choice></Choice>'
        '<Choice value="B"/>'
    )
    field = only(f'<Taxonomy name="t" toName="text">{tree}</Taxonomy>')
    assert paths(field) == [("a",), ("a", "A1"), ("a", "A2"), ("a", "A2", "deep"), ("B",)]
    assert field.labels[3].text == "A > A2 > deep"
    assert field.multiple
    assert field.nested
    leaves = only(f'<Taxonomy name="t" toName="text" leafsOnly="true" maxUsages="1">{tree}</Taxonomy>')
    assert paths(leaves) == [("a", "A1"), ("a", "A2", "deep"), ("B",)]
    assert not leaves.multiple


def test_rating_is_a_scale_from_one_star() -> None:
    assert paths(only('<Rating name="r" toName="text"/>')) == [("1",), ("2",), ("3",), ("4",), ("5",)]
    field = only('<Rating name="r" toName="text" maxRating="3"/>')
    assert (len(field.labels), field.ordinal, field.multiple) == (3, True, False)


@pytest.mark.parametrize(
    ("attributes", "steps"),
    [
        ('min="0" max="10"', [str(step) for step in range(11)]),
        ('min="-1" max="1"', ["-1", "0", "1"]),
        ('min="0" max="1" step="0.25"', ["0", "0.25", "0.5", "0.75", "1"]),
        ('min="1" max="2" step="0.3"', ["1", "1.3", "1.6", "1.9"]),
        ('min="1e1" max="20" step="10"', ["10", "20"]),
    ],
)
def test_a_number_in_few_steps_is_a_scale(attributes: str, steps: list[str]) -> None:
    field = only(f'<Number name="n" toName="text" {attributes}/>')
    assert [label.text for label in field.labels] == steps
    assert field.ordinal


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("", "free number"),
        ('min="0"', "free number"),
        ('min="0" max="11"', "12 values"),
        ('min="0" max="1e9" step="1e-9"', "values"),
        ('min="0" max="1" step="0"', "no scale"),
        ('min="0" max="1" step="-1"', "no scale"),
        ('min="NaN" max="1"', "no scale"),
        ('min="0" max="Infinity"', "no scale"),
        ('min="0" max="1e999999"', "no scale"),
        ('min="low" max="high"', "not all numbers"),
        ('min="5" max="1"', "nothing to choose"),
    ],
)
def test_other_numbers_are_left_to_people(attributes: str, words: str) -> None:
    assert words in reason(f'{TEXT}<Number name="c" toName="text" {attributes}/>')


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ('<Choices name="c" toName="text"><Choice value="A"/></Choices>', "1 label"),
        ('<Choices name="c" toName="text"/>', "no labels"),
        ('<Choices name="c" toName="text" value="Pick $one of $two"/>', "no list of labels"),
        ('<Choices name="c" toName="text"><Choice value="$one"/><Choice value="B"/></Choices>', "each task's data"),
        ('<Taxonomy name="c" toName="text" value="$options"/>', "each task's data"),
        ('<Taxonomy name="c" toName="text" apiUrl="https://x.example"/>', "another server"),
        (f'<Taxonomy name="c" toName="text" labeling="true">{TWO}</Taxonomy>', "spans"),
        (f'<Choices name="c" toName="text" perRegion="true">{TWO}</Choices>', "perRegion"),
        (f'<Choices name="c" toName="text" perItem="true">{TWO}</Choices>', "perItem"),
        (f'<View visibleWhen="region-selected"><Choices name="c" toName="text">{TWO}</Choices></View>', "region"),
        (f'<Repeater on="$rows"><Choices name="c" toName="text">{TWO}</Choices></Repeater>', "repeated"),
        (f'<Choices name="c" toName="other">{TWO}</Choices>', '"other"'),
        (f'<Choices name="c">{TWO}</Choices>', "toName"),
        (f'<Choices name="c" toName="text, img">{TWO}</Choices><Image name="img" value="$img"/>', "<Image"),
        ('<Labels name="c" toName="text"/>', "no labels"),
        ('<Labels name="c" toName="text" value="$labels"/>', "does not fill such labels of spans yet"),
        ('<HyperTextLabels name="c" toName="text"><Label value="PER"/></HyperTextLabels>', "marks no spans of <Text"),
        ('<TextArea name="c" toName="text"/>', "what it is for"),
        ('<Pairwise name="c" toName="text"/>', "names 1"),
        ('<Magic name="c" toName="text"/>', "<Magic> is not supported"),
        ('<Rating name="c" toName="text" maxRating="many"/>', "maxRating"),
        ('<Rating name="c" toName="text" maxRating="1"/>', "nothing to choose"),
        ('<Rating name="c" toName="text" maxRating="999999999999999999999"/>', "maxRating"),
        (f'<Choices name="c" toName="text">{TWO}</Choices><Rating name="c" toName="text"/>', "2 tags are called"),
        (f'<Choices name="c" toName="text">{TWO}</Choices><Text name="text" value="$other"/>', "2 tags are called"),
        (f'<Choices name="c" toName="b64">{TWO}</Choices><Text name="b64" value="$x" encoding="base64"/>', "encoded"),
        (f'<Choices name="c" toName="csv">{TWO}</Choices><Text name="csv" value="$x" resolver="csv"/>', "a table"),
        (f'<Choices name="c" toName="note">{TWO}</Choices><Text name="note" value="Read this."/>', "fixed text"),
    ],
)
def test_what_cannot_be_filled_is_skipped_with_a_reason(inner: str, words: str) -> None:
    assert words in reason(TEXT + inner)


def test_a_control_without_a_name_is_named_by_its_place() -> None:
    assert read(f'{TEXT}\n<Choices toName="text">{TWO}</Choices>').skipped == {"<Choices> in line 2": "it has no name"}


def test_filters_are_no_controls() -> None:
    assert read(f'{TEXT}<Filter toName="c"/>') == Schema((), {})


def test_several_controls_and_objects_in_one_config() -> None:
    schema = read(
        '<HyperText name="body" value="$mail.html"/>'
        '<Paragraphs name="chat" value="$turns" nameKey="who" textKey="said"/>'
        f'<Choices name="a" toName="body">{TWO}</Choices><Choices name="b" toName="chat,body">{TWO}</Choices>'
        '<TextArea name="note" toName="body"/><Rating name="r" toName="chat"/>'
    )
    assert [field.name for field in schema.fields] == ["a", "b", "r"]
    assert list(schema.skipped) == ["note"]
    both = schema.fields[1]
    assert both.to_name == "chat"
    assert [source.key for source in both.sources] == ["turns", "mail.html"]
    assert (both.sources[0].name_key, both.sources[0].text_key) == ("who", "said")


def test_names_of_tags_and_attributes_may_be_in_any_case() -> None:
    field = only('<choices name="c" toname="text" CHOICE="multiple"><choice Value="A"/><choice value="B"/></choices>')
    assert (field.tag, field.multiple, len(field.labels)) == ("Choices", True, 2)


@pytest.mark.parametrize(
    ("inner", "question"),
    [
        (f'<Header value="Which?"/><Choices name="c" toName="text">{TWO}</Choices>', "Which?"),
        (
            f'<Header value="Old"/><Header> New\n one </Header><Choices name="c" toName="text">{TWO}</Choices>',
            "New one",
        ),
        (f'<View><Header value="Which?"/></View><Choices name="c" toName="text">{TWO}</Choices>', ""),
        (f'<Header value="Which?"/><View><Choices name="c" toName="text">{TWO}</Choices></View>', "Which?"),
        (f'<Header value="$text"/><Choices name="c" toName="text">{TWO}</Choices>', ""),
        (f'<Choices name="c" toName="text" title="Mine">{TWO}</Choices>', "Mine"),
        (f'<Collapse><Panel value="Topic"><Choices name="c" toName="text">{TWO}</Choices></Panel></Collapse>', "Topic"),
        (f'<Choices name="c" toName="text">{TWO}</Choices>', ""),
    ],
)
def test_the_question_is_the_nearest_header(inner: str, question: str) -> None:
    assert only(inner).question == question


def test_a_header_belongs_to_the_first_control_after_it() -> None:
    schema = read(
        f'{TEXT}<Header value="Topic?"/><Choices name="a" toName="text">{TWO}</Choices>'
        f'<Choices name="b" toName="text">{TWO}</Choices><Header value="Mood?"/><Rating name="c" toName="text"/>'
    )
    assert [field.question for field in schema.fields] == ["Topic?", "", "Mood?"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("not XML", "line 1"),
        ("<View>\n<Text>\n</View>", "line 3"),
        ("<View><View></View>", "line 1"),
        ('<View><Text name="a" name="b"/></View>', "line 1"),
        ("<View>&undefined;</View>", "line 1"),
        ("<View>\x00</View>", "not XML"),
        ("<View>\ud800</View>", "not XML"),
        ("<Choices/>", "<View>"),
        ("<html><body/></html>", "<html> in line 1"),
        ("<View>" * 400 + "</View>" * 400, "not XML"),
        ("<View>" + " " * 1_048_577 + "</View>", "bytes"),
        ('<!DOCTYPE View [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><View>&b;</View>', "document type"),
        ('<?xml version="1.0"?><!-- x --> <!DOCTYPE View SYSTEM "file:///etc/passwd"><View/>', "document type"),
    ],
)
def test_what_is_no_safe_label_config_is_refused(config: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_config(config)
    assert caught.value.remedy


def test_comments_declarations_and_namespaces_are_no_obstacle() -> None:
    schema = read_config(
        '<?xml version="1.0" encoding="latin-1"?><!-- <!DOCTYPE x> --><View xmlns="urn:x"><!-- note -->'
        f'<Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="é"/>{TWO}</Choices></View>'
    )
    assert paths(schema.fields[0]) == [("é",), ("A",), ("B",)]


SPANS = (
    '<Labels name="ner" toName="text"><Label value="Person" alias="PER" hint="people"/><Label value="ORG"/></Labels>'
)
PAGE = '<HyperText name="page" value="$page"/><Paragraphs name="talk" value="$talk"/>'


def test_labels_mark_entities_and_store_the_alias() -> None:
    field = only(f'<View><Header value="Who?"/>{SPANS}</View>')
    assert (field.tag, field.kind, field.to_name, field.question) == ("Labels", "entities", "text", "Who?")
    assert [(one.path, one.text, one.description) for one in field.labels] == [
        (("PER",), "Person", "people"),
        (("ORG",), "ORG", ""),
    ]


def test_each_span_control_marks_the_objects_that_it_can_mark() -> None:
    one = '<Label value="x"/>'
    schema = read(
        f'{TEXT}{PAGE}<HyperTextLabels name="a" toName="page">{one}</HyperTextLabels>'
        f'<Labels name="b" toName="page">{one}</Labels><Labels name="c" toName="talk">{one}</Labels>'
        f'<ParagraphLabels name="d" toName="talk"><View>{one}</View></ParagraphLabels>'
        f'<ParagraphLabels name="e" toName="text">{one}</ParagraphLabels>'
        f'<HyperTextLabels name="f" toName="talk">{one}</HyperTextLabels>'
    )
    assert [(field.name, field.tag) for field in schema.fields] == [
        *(("a", "HyperTextLabels"), ("b", "Labels"), ("c", "Labels"), ("d", "ParagraphLabels"))
    ]
    assert list(schema.skipped) == ["e", "f"]


def test_relations_are_a_field_over_all_spans() -> None:
    relations = '<Relations choice="single"><Relation value="met"/><View><Relation value="owns"/></View></Relations>'
    field = read(TEXT + relations + SPANS).fields[0]
    assert (field.name, field.kind, field.tag, field.regions_of) == ("relations", "relations", "Relations", ("ner",))
    assert (paths(field), field.multiple) == ([("met",), ("owns",)], False)
    plain = read(f'{TEXT}{SPANS}<Relations/><Choices name="relations" toName="text">{TWO}</Choices>').fields[-2]
    assert (plain.name, plain.labels, plain.multiple) == ("relations_2", (), True)


def test_relations_without_spans_are_left_to_people() -> None:
    schema = read(f'{TEXT}<Relations><Relation value="r"/></Relations>')
    assert schema.fields == () and "no control that marks spans" in schema.skipped["relations"]


@pytest.mark.parametrize(
    ("attributes", "regions_of", "labels"),
    [
        ("", ("ner", "more"), ()),
        ('visibleWhen="region-selected"', ("ner", "more"), ()),
        ('visibleWhen="region-selected" whenTagName="more"', ("more",), ()),
        ('visibleWhen="region-selected" whenLabelValue="PER"', ("ner", "more"), ("PER",)),
        ('whenLabelValue="PER"', ("ner", "more"), ("PER",)),
    ],
)
def test_controls_of_single_regions_know_whose(
    attributes: str, regions_of: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    more = '<Labels name="more" toName="text"><Label value="X"/></Labels>'
    schema = read(f'<Choices name="c" toName="text" perRegion="true" {attributes}>{TWO}</Choices>{TEXT}{SPANS}{more}')
    assert schema.skipped == {}
    field = schema.fields[0]
    assert (field.kind, field.tag, field.regions_of, field.region_labels) == ("remarks", "Choices", regions_of, labels)


def test_a_view_around_a_control_of_regions_limits_it_too() -> None:
    inner = f'<Choices name="c" toName="text" perRegion="true" whenLabelValue="PER,ORG">{TWO}</Choices>'
    around = f'<View visibleWhen="region-selected" whenTagName="ner" whenLabelValue="ORG">{inner}</View>'
    field = read(f"{TEXT}{SPANS}{around}").fields[1]
    assert (field.regions_of, field.region_labels) == (("ner",), ("ORG",))


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (f'<Choices name="c" toName="page" perRegion="true">{TWO}</Choices>', 'regions of "page"'),
        ('<TextArea name="c" toName="text" perRegion="true"/>', "single regions"),
        ('<Choices name="c" toName="text" perRegion="true" value="$own"/>', "come with each task"),
        (f'<Choices name="c" toName="text,page" perRegion="true">{TWO}</Choices>', "several objects"),
        (f'<Choices name="c" toName="text" perRegion="true" whenLabelValue="X">{TWO}</Choices>', "labelled X"),
        ('<Choices name="c" toName="text" perRegion="true"><Choice value="A"/></Choices>', "1 label"),
        (
            '<Choices name="c" toName="text" perRegion="true" visibleWhen="region-selected" whenTagName="z">'
            f"{TWO}</Choices>",
            'regions of "z"',
        ),
        ('<Pairwise name="c" toName="text"/>', "names 1"),
        ('<Ranker name="c" toName="text"/>', '"text" is none'),
        ('<List name="l" value="fixed"/><Ranker name="c" toName="l"/>', "names no list"),
    ],
)
def test_what_describes_or_compares_nothing_is_left_to_people(inner: str, words: str) -> None:
    assert words in read(TEXT + PAGE + SPANS + inner).skipped["c"]


def test_a_comparison_reads_two_objects_and_what_they_answer() -> None:
    schema = read(f'<Text name="prompt" value="$prompt"/>{TEXT}{PAGE}<Pairwise name="p" toName="text,page"/>')
    (field,) = schema.fields
    assert (field.kind, field.to_name, paths(field)) == ("comparison", "text", [("left",), ("right",)])
    assert [one.name for one in field.sources] == ["text", "page"]
    assert [one.name for one in field.query] == ["prompt"]
    (field,) = read(f'<Text name="one" value="$one"/>{TEXT}{PAGE}<Pairwise name="p" toName="text,page"/>').fields
    assert [one.name for one in field.query] == ["one", "talk"]


@pytest.mark.parametrize(
    ("inner", "question"),
    [
        ('<Header value="Which is better?"/>{a}{b}{p}', "Which is better?"),
        ('<Header value="Which is better?"/><Header value="A"/>{a}<Header value="B"/>{b}{p}', "Which is better?"),
        ('<Header value="A"/>{a}<Header value="B"/>{b}{p}', ""),
        ('<Header value="A"/>{a}<Header value="B"/>{b}<Header value="Better?"/>{p}', "Better?"),
    ],
)
def test_titles_of_what_is_compared_are_not_the_question(inner: str, question: str) -> None:
    a, b = ('<Text name="one" value="$one"/>', '<Text name="two" value="$two"/>')
    (field,) = read(inner.format(a=a, b=b, p='<Pairwise name="p" toName="one,two"/>')).fields
    assert field.question == question


def test_a_ranker_reads_a_list_and_sorts_it_into_buckets() -> None:
    listed = '<List name="found" value="$found"/>'
    schema = read(
        f'{TEXT}{listed}<Ranker name="r" toName="found"/><Ranker name="b" toName="found">'
        '<Bucket name="good" title="Good!"/>'
        '<Bucket name="rest" default="true"/></Ranker>'
    )
    plain, sorted_ = schema.fields
    assert (plain.kind, plain.labels, plain.rest) == ("ranking", (), "")
    assert [(one.tag, one.key) for one in plain.sources] == [("List", "found")]
    assert [one.name for one in plain.query] == ["text"]
    assert [(one.path, one.text) for one in sorted_.labels] == [(("good",), "Good!"), (("rest",), "rest")]
    assert sorted_.rest == "rest"


def test_spans_that_are_never_shown_leave_nothing_to_describe() -> None:
    hidden = f'<View visibleWhen="choice-selected" whenTagName="t">{SPANS}</View>'
    schema = read(
        f'{TEXT}<Taxonomy name="t" toName="text" apiUrl="x"/>{hidden}<Relations/>'
        f'<Choices name="c" toName="text" perRegion="true">{TWO}</Choices>'
    )
    assert schema.fields == ()
    assert set(schema.skipped) == {"t", "ner", "relations", "c"}


def test_a_page_in_the_editors_own_page_is_told_apart() -> None:
    schema = read(
        '<HyperText name="page" value="$page" inline="true"/><HyperTextLabels name="a" toName="page"><Label value="x"/>'
        "</HyperTextLabels>"
    )
    assert schema.fields[0].sources[0].inline


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_configs(), st.dictionaries(st.sampled_from(["text", "a", "items", "t"]), st.text(max_size=9)))
def test_any_config_is_read_and_each_field_can_be_rendered_or_says_why_not(config: str, data: dict[str, str]) -> None:
    schema = read_config(config)
    names = [field.name for field in schema.fields]
    assert len(set(names)) == len(names) and not set(names) & schema.skipped.keys()
    assert all(reason for reason in schema.skipped.values())
    for field in schema.fields:
        assert field.sources and set(field.regions_of) <= set(names)
    documents = Documents(schema.fields, data)
    texts, problems = render_all(schema.fields, data, documents=documents)
    assert texts.keys() | problems.keys() == set(names)
    assert validate(prediction(schema.fields, [], "v1", documents), schema.fields, documents)[1] == []
