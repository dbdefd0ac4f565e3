"""Which kind a TextArea is, told by its name, the words beside it and what it reads; and what directions change."""

import json
from typing import Any

import pytest

from labelloop.errors import RequestError
from labelloop.settings import Direction, Settings
from labelloop.studio.directions import directed, direction_of, read_extra
from labelloop.studio.documents import Documents
from labelloop.studio.render import reading
from labelloop.studio.results import prediction, validate
from labelloop.studio.schema import Schema, read_config
from labelloop.words import Answer, Reading

TEXT = '<Text name="text" value="$text"/>'
EN = '<Text name="english" value="$en"/>'
TALK = '<Paragraphs name="dialogue" value="$dialogue" layout="dialogue"/>'
PROMPT = '<Text name="prompt" value="$prompt"/>'
ASK = '<Text name="question" value="$question"/>'
PAIR = f'{ASK}<Text name="context" value="$context"/>'
MOOD = '<Choices name="mood" toName="text"><Choice value="good"/><Choice value="bad"/></Choices>'
ALPACA = '<Text name="instruction" value="$instruction"/><Text name="input" value="$input"/>'


def read(inner: str, **directions: dict[str, Any]) -> Schema:
    told = {("*" if name == "all" else name): Direction.model_validate(its) for name, its in directions.items()}
    return read_config(f"<View>{inner}</View>", told)


def box(name: str, to: str = "text", **attributes: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<TextArea name="{name}" toName="{to}"{more}/>'


def header(words: str) -> str:
    return f'<Header value="{words}"/>'


@pytest.mark.parametrize(
    ("inner", "kind", "options"),
    [
        # summaries, as in the editor's own template and as people name them
        (
            header("Please read the text") + TEXT + header("Provide one sentence summary") + box("answer", rows="4"),
            "summarisation",
            {"instruction": "Provide one sentence summary", "sentences": "1"},
        ),
        (TEXT + box("summary"), "summarisation", {}),
        (TEXT + box("my_abstract"), "summarisation", {}),
        (TEXT + box("tl_dr"), "summarisation", {}),
        (TEXT + box("box", placeholder="Summarize the text in 30 words"), "summarisation", {"words": "30"}),
        (TEXT + box("s", placeholder="Type the summary here"), "summarisation", {}),
        (TEXT + header("Zusammenfassung") + box("z"), "summarisation", {}),
        (TEXT + header("Fassen Sie den Text zusammen") + box("z"), "summarisation", {}),
        (TEXT + header("Résumez le texte") + box("r"), "summarisation", {}),
        (TEXT + box("resumen"), "summarisation", {}),
        (TEXT + box("headline"), "summarisation", {"words": "12"}),
        (TEXT + box("title"), "summarisation", {"words": "12"}),
        (TALK + box("summary", "dialogue"), "summarisation", {}),
        (TEXT + MOOD + box("summary"), "summarisation", {}),
        # translations
        (
            header("Read the sentence in English")
            + EN
            + header("Provide translation in Spanish")
            + box("spanish", "english"),
            "translation",
            {"source_language": "English", "target_language": "Spanish"},
        ),
        (TEXT + box("translation_de"), "translation", {"target_language": "German"}),
        (TEXT + box("translation_en_fr"), "translation", {"source_language": "English", "target_language": "French"}),
        (TEXT + box("german"), "translation", {"target_language": "German"}),
        (EN + box("de", "english"), "translation", {"source_language": "English", "target_language": "German"}),
        (TEXT + box("text_fr"), "translation", {"target_language": "French"}),
        (TEXT + box("t", placeholder="Translate into French"), "translation", {"target_language": "French"}),
        (TEXT + box("translation", targetLanguage="it"), "translation", {"target_language": "Italian"}),
        (
            TEXT + header("Translate from English to Polish") + box("t"),
            "translation",
            {"source_language": "English", "target_language": "Polish"},
        ),
        (TEXT + header("Übersetze ins Deutsche") + box("t"), "translation", {"target_language": "German"}),
        (
            TEXT + header("Traduisez du français vers l'anglais") + box("t"),
            "translation",
            {"source_language": "French", "target_language": "English"},
        ),
        (TEXT + header("Traducción al inglés") + box("t"), "translation", {"target_language": "English"}),
        (
            '<Text name="source" value="$source_en"/>' + box("target_fr", "source"),
            "translation",
            {"source_language": "English", "target_language": "French"},
        ),
        (EN + header("EN to DE") + box("target", "english"), "translation", {"target_language": "German"}),
        # answers
        (PAIR + box("answer", "question"), "extraction", None),
        (PAIR + header("Answer in your own words") + box("answer", "context"), "question_answering", {}),
        (ASK + box("answer", "question"), "question_answering", {}),
        (ASK + header("Antworte auf die Frage") + box("a", "question"), "question_answering", {}),
        (TEXT + header("Who wrote the letter?") + box("answer"), "question_answering", {}),
        # dialogues, as in the editor's template of response generation
        (TALK + header("Provide response") + box("response", "dialogue", rows="4"), "dialogue", {}),
        (TALK + box("resp", "dialogue", placeholder="Type your response here..."), "dialogue", {}),
        (TALK + box("next_turn", "dialogue"), "dialogue", {}),
        (TALK + box("assistant", "dialogue"), "dialogue", {}),
        ('<Chat name="chat" value="$messages"/>' + box("reply", "chat"), "dialogue", {}),
        ('<Text name="conversation" value="$text"/>' + box("reply", "conversation"), "dialogue", {}),
        ('<Text name="transcript" value="$transcript"/>' + box("next_response", "transcript"), "dialogue", {}),
        ('<Text name="email" value="$email"/>' + box("reply", "email"), "dialogue", {}),
        # free generation: templates of language models, rewriting, code
        (PROMPT + box("response", "prompt"), "generation", {}),
        (PROMPT + box("completion", "prompt"), "generation", None),
        (ALPACA + box("output", "instruction"), "generation", {}),
        (TEXT + box("paraphrase"), "generation", None),
        (TEXT + box("paraphrases", maxSubmissions="3"), "generation", None),
        (TEXT + box("simplified_text"), "generation", None),
        (TEXT + box("corrected_text"), "generation", None),
        (
            TEXT + header("Correct the grammar of the text") + box("t"),
            "generation",
            {"instruction": "Correct the grammar of the text"},
        ),
        (TEXT + box("rewrite", placeholder="Rewrite politely"), "generation", {"instruction": "Rewrite politely"}),
        (TEXT + header("Umformulierung") + box("u"), "generation", None),
        ('<Text name="problem" value="$problem"/>' + box("code", "problem"), "generation", {}),
        ('<Text name="snippet" value="$code"/>' + box("explanation", "snippet"), "generation", None),
        (
            '<Text name="keys" value="$keywords"/>'
            + header("Write a product description of the keywords")
            + box("d", "keys"),
            "generation",
            {"instruction": "Write a product description of the keywords"},
        ),
        (
            f'<Text name="rule" value="Summarize the article in two sentences."/>{TEXT}{box("summary")}',
            "summarisation",
            {"instruction": "Summarize the article in two sentences."},
        ),
    ],
)
def test_a_box_whose_purpose_is_told_is_filled(inner: str, kind: str, options: dict[str, str] | None) -> None:
    schema = read(inner)
    field = next((one for one in schema.fields if one.tag == "TextArea"), None)
    assert field is not None, schema.skipped
    assert field.kind == kind and schema.why[field.name]
    assert options is None or dict(field.options) | options == dict(field.options)
    assert options != {} or not dict(field.options).keys() & {"target_language", "words", "samples"}
    assert schema.corrections[field.name] == {"task": "people"}


@pytest.mark.parametrize(
    "inner",
    [
        TEXT + box("comment"),
        TEXT + box("notes", placeholder="Write a summary of your thoughts"),
        TEXT + box("feedback"),
        TEXT + box("c"),
        TEXT + box("textarea"),
        TEXT + box("reason"),
        TEXT + MOOD + box("explanation"),
        TEXT + MOOD + header("Explain your choice") + box("e"),
        TEXT + MOOD + header("Why?") + box("answer"),
        TEXT + header("Any comments on the summary?") + box("t"),
        TEXT + header("What is wrong with the translation?") + box("t"),
        TEXT + header("Notes about the translation") + box("translation"),
        TEXT + box("summary_quality"),
        TEXT + box("translation_errors"),
        TEXT + box("translation_comment_de"),
        TEXT + box("answer_id"),
        TEXT + box("summary", placeholder="Your remarks"),
        TEXT + box("kommentar"),
        TEXT + header("Begründung der Übersetzung") + box("b"),
        TEXT + header("Remarques sur le résumé") + box("r"),
        TEXT + box("answer"),
        TEXT + box("response"),
        TEXT + box("code"),
        TEXT + box("keywords"),
        TEXT + box("target"),
        TEXT + box("polish"),
        TEXT + box("name") + box("title") + box("company"),
        TEXT + MOOD + box("correction"),
        TEXT + MOOD + box("corrected_label"),
        TEXT + header("Write your comments here") + box("t"),
        TEXT + header("Type anything else you noticed") + box("t"),
        TEXT + header("Describe the problem") + box("d"),
        TEXT + box("email_address"),
        TEXT + box("text_id"),
        PAIR + header("Explain your answer") + box("a", "context"),
        f'{ASK}<Text name="answer" value="$answer"/>' + box("answer_edited", "answer"),
        f'{PROMPT}<Text name="response" value="$response"/>' + box("better_response", "prompt"),
        '<Text name="source" value="$s"/><Text name="mt" value="$mt"/>' + box("translation_de", "mt"),
        '<Text name="summary" value="$summary"/>' + box("new_summary", "summary"),
        TALK + box("intent", "dialogue"),
        TALK + box("agent_name", "dialogue"),
        '<Image name="image" value="$image"/>' + box("summary", "image"),
        TEXT + box("summary", perRegion="true"),
        TEXT + box("summary", "nothing"),
        '<TextArea name="summary"/>' + TEXT,
    ],
)
def test_a_box_for_remarks_or_of_unknown_purpose_is_left_to_people(inner: str) -> None:
    schema = read(inner)
    assert [one.name for one in schema.fields if one.tag == "TextArea"] == []
    assert all(schema.skipped.values())


def test_what_it_reads_and_what_asks_are_told_apart() -> None:
    (field,) = read(ALPACA + box("output", "instruction")).fields
    assert [one.name for one in field.sources] == ["input"] and [one.name for one in field.query] == ["instruction"]
    assert field.to_name == "instruction"
    (alone,) = read(PROMPT + box("response", "prompt")).fields
    assert [one.name for one in alone.sources] == ["prompt"] and not alone.query


def test_several_texts_are_written_only_where_the_box_takes_them() -> None:
    (several,) = read(TEXT + box("paraphrases", maxSubmissions="3")).fields
    (one,) = read(TEXT + box("summary", maxSubmissions="3")).fields
    assert dict(several.options)["samples"] == "3" and "samples" not in dict(one.options)


def test_each_of_two_translations_has_the_language_of_its_own_header() -> None:
    schema = read(EN + header("French") + box("a_translation", "english") + header("German") + box("b", "english"))
    assert dict(schema.fields[0].options)["target_language"] == "French"
    shared = read(header("Translate from English into German") + EN + box("translation", "english"))
    assert dict(shared.fields[0].options)["target_language"] == "German"


def test_a_translation_into_no_known_language_waits_for_one_line() -> None:
    schema = read(EN + box("translation", "english"))
    assert "which language" in schema.skipped["translation"]
    told = schema.corrections["translation"]
    assert [one.kind for one in read(EN + box("translation", "english"), translation=told).fields] == ["translation"]


@pytest.mark.parametrize("name", ["note", "c", "summary"])
@pytest.mark.parametrize(
    "task", ["summarisation", "generation", "dialogue", "question_answering", "translation", "people"]
)
def test_a_direction_goes_before_every_name(name: str, task: str) -> None:
    told = {"task": task, "options": {"target_language": "de"}}
    schema = read(TEXT + box(name), **{name: told})
    assert [one.kind for one in schema.fields] == ([task] if task != "people" else [])
    assert "direction" in (schema.why | schema.skipped)[name]


def test_a_direction_names_inputs_instruction_and_options() -> None:
    told = {"task": "generation", "inputs": ["b", "a"], "instruction": "Merge them.", "options": {"words": "30"}}
    objects = '<Text name="a" value="$a"/><HyperText name="b" value="$b"/><Text name="c" value="$c"/>'
    schema = read(objects + box("t", "c", placeholder="Write a summary"), t=told)
    (field,) = schema.fields
    assert [one.name for one in field.sources] == ["b", "a"] and field.to_name == "c"
    assert field.options == (("instruction", "Merge them."), ("words", "30"))
    read_by = reading(field, Documents([field], {"a": "one", "b": "<b>two</b>", "c": "three"}), [field])
    assert [(one.name, one.text) for one in read_by.passages] == [("b", "two"), ("a", "one")]


def test_directions_that_cannot_be_followed_say_so() -> None:
    missing = read(TEXT + box("t"), t={"task": "summarisation", "inputs": ["body"]})
    assert '"body"' in missing.skipped["t"] and "text" in missing.skipped["t"]
    extraction = read(TEXT + box("t"), t={"task": "extraction"})
    assert "question" in extraction.skipped["t"]
    quoted = read(PAIR + box("t", "context", perItem="false"), t={"task": "extraction"})
    assert [one.kind for one in quoted.fields] == ["extraction"]
    region = read(TEXT + box("t", perRegion="true"), t={"task": "generation"})
    assert "perRegion" in region.skipped["t"]


def test_directions_of_all_fields_and_of_none_that_is_there() -> None:
    schema = read(
        TEXT + MOOD + box("note"),
        all={"task": "generation", "options": {"style": "plain"}},
        note={"options": {"words": "5"}},
        nobody={"task": "people"},
        mood={"instruction": "Be kind."},
    )
    assert dict(next(one for one in schema.fields if one.name == "note").options) == {"style": "plain", "words": "5"}
    assert [note for note in schema.notes if '"nobody"' in note] and [note for note in schema.notes if '"mood"' in note]
    assert "mood" in read(TEXT + MOOD, mood={"task": "people"}).skipped
    assert direction_of({"*": Direction(task="people")}, "x").task == "people"


def test_choices_on_a_dialogue_stay_choices() -> None:
    acts = '<Choices name="act" toName="dialogue"><Choice value="asks"/><Choice value="tells"/></Choices>'
    schema = read(TALK + acts + box("response", "dialogue"))
    assert {one.name: one.kind for one in schema.fields} == {"act": "classification", "response": "dialogue"}
    assert schema.why["act"] == "<Choices> offers labels"


@pytest.mark.parametrize("tag", ["Paragraphs", "Chat"])
def test_a_dialogue_is_read_with_its_speakers(tag: str) -> None:
    keys = ("author", "text") if tag == "Paragraphs" else ("role", "content")
    turns = [dict(zip(keys, turn, strict=True)) for turn in [("user", "Hi.\nAny news?"), ("agent", "None.")]]
    (field,) = read(f'<{tag} name="chat" value="$turns"/>' + box("reply", "chat")).fields
    read_by = Reading.model_validate_json(reading(field, Documents([field], {"turns": turns}), [field]).dump())
    (passage,) = read_by.passages
    assert passage.text == "user: Hi.\nAny news?\nagent: None."
    assert [passage.text[start:end] for start, end in passage.unmarked] == ["user: ", "agent: "]


def test_what_is_written_becomes_a_region_and_what_is_blank_none() -> None:
    config = TEXT + MOOD + box("summary") + box("paraphrase", visibleWhen="choice-selected", whenTagName="mood")
    fields = read(config).fields
    written = [Answer(field="summary", labels=(), score=0.5, texts=("Short.", " "))]
    written.append(Answer(field="paraphrase", labels=(), score=0.5, texts=("Other words.",)))
    documents = Documents(fields, {"text": "Long."})
    clean, dropped = validate(prediction(fields, written, "v1-a", documents), fields, documents)
    (region,) = clean["result"]
    assert region["value"] == {"text": ["Short."]} and region["type"] == "textarea" and not dropped
    good = Answer(field="mood", labels=(("good",),), score=0.5)
    shown = prediction(fields, [good, *written], "v1-a", documents)["result"]
    assert [one["from_name"] for one in shown] == ["mood", "summary", "paraphrase"]


TOLD = {"note": {"task": "summarisation", "options": {"words": 30, "keywords": ["a", "b"]}, "inputs": "text"}}


@pytest.mark.parametrize(
    "extra", [TOLD, {"fields": TOLD}, json.dumps(TOLD), json.dumps({"fields": TOLD}), f"  {json.dumps(TOLD)}\n"]
)
def test_extra_params_in_each_form(extra: Any) -> None:
    found = read_extra(extra)["note"]
    assert found.options == {"words": "30", "keywords": "a, b"} and found.inputs == ("text",)


@pytest.mark.parametrize("extra", [None, "", " ", {}, "null", "{}", {"fields": {}}, {"fields": None}])
def test_extra_params_that_say_nothing(extra: Any) -> None:
    assert read_extra(extra) == {}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("{", "not JSON"),
        ("5", "no object"),
        ([1], "no object"),
        ({"note": "summary"}, "'note'"),
        ({"note": {"task": "sing"}}, "task"),
        ({"note": {"tusk": "people"}}, "tusk"),
        ({"note": {"engine": "causal"}}, "operator"),
        ({"note": {"model": "/etc/passwd"}}, "operator"),
        ({"note": {"options": {"words": {}}}}, "options.words"),
        ({"note": {"instruction": "x" * 5000}}, "5000 characters"),
        ({"fields": {}, "modle": 1}, "'modle'"),
        ({"fields": 5}, "'fields'"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_extra_params_that_are_wrong_name_what_is(extra: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_extra(extra)


def test_directions_of_a_connection_go_over_those_of_the_settings() -> None:
    fields = {"note": {"engine": "causal", "instruction": "Be brief.", "options": {"words": "9", "style": "plain"}}}
    told = directed(Settings(fields=fields), read_extra({"note": {"task": "generation", "options": {"words": "20"}}}))
    note = told.fields["note"]
    assert (note.engine, note.task, note.instruction) == ("causal", "generation", "Be brief.")
    assert note.options == {"words": "20", "style": "plain"}
