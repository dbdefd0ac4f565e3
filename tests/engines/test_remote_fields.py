"""Fields that a remote model serves: from the setting to the answer, and what `labelloop doctor` says of the server."""

from pathlib import Path

import pytest

from labelloop import doctor
from labelloop.engines.remote_rank import DEFAULT_QUESTION, options
from labelloop.prompting import load_prompt
from labelloop.settings import Settings
from labelloop.tasks import answer, at_once, make_bundle, readings
from labelloop.tasks.verbalizers import verbalize
from labelloop.words import Field, Label
from support.model_server import KEY, ModelServer, Payload, Reply, chat, letters, options_of, refuse

PROMPT = load_prompt("choice/v1")


def field(*labels: str, hint: str = "", **changes: object) -> Field:
    made = tuple(Label(path=(label,), text=label, description=hint) for label in labels)
    return Field(name="topic", tag="Choices", kind="classification", to_name="text", labels=made, sources=(), **changes)


def knowing(_path: str, payload: Payload) -> Reply:
    """A model that prefers the letter A, and options whose word is in the text."""
    text = payload["messages"][-1]["content"].split('"""')[1].lower()
    taste = {letter: -2.0 - 0.5 * place for place, (letter, _) in enumerate(options_of(payload))}
    return letters({letter: taste[letter] + 1.5 * (told.lower() in text) for letter, told in options_of(payload)})


def settings_for(server: ModelServer, tmp_path: Path, **changes: object) -> Settings:
    its = {"topic": {"engine": "remote"}}
    return Settings(data_dir=tmp_path, remote_url=server.url, fields=its, remote_retries=0, **changes)


def test_a_field_is_served_and_the_taste_for_letters_is_removed(tmp_path: Path) -> None:
    with ModelServer(knowing) as server:
        settings = settings_for(server, tmp_path)
        bundle = make_bundle([field("sports", "music", "politics", "weather")], settings)
        assert (bundle.plans[0].engine, bundle.plans[0].prompt) == ("remote", "choice/v1")
        assert bundle.plans[0].revision == f"{server.url} default"
        items = [{"topic": text} for text in ("more weather today", "the music", "politics again", "")]
        answers = [one for (one,) in answer(bundle, items, settings)]
        assert [one.labels for one in answers[:3]] == [(("weather",),), (("music",),), (("politics",),)]
        assert all(0.25 < one.score < 1 for one in answers[:3]) and answers[3].reason
        assert [answer(bundle, [item], settings)[0][0] for item in items] == answers
        assert at_once(bundle, settings) == 8 and at_once(make_bundle([field("a", "b")], Settings()), settings) == 1
        assert readings(bundle) == 1


def test_labels_are_told_by_name_hint_and_question() -> None:
    told = options(verbalize(field("Sci/Tech", hint="Machines.", question="What is it about?"), PROMPT).texts)
    assert told.question == "What is it about?" and told.texts[0] == "Sci and Tech; Machines."
    plain = options(verbalize(field("positive", "negative"), PROMPT).texts)
    assert plain == (DEFAULT_QUESTION, ("positive", "negative"))
    scale = options(verbalize(field("1", "2", "3", ordinal=True, question="How good is it?"), PROMPT).texts)
    assert scale == ("How good is it?", ("1", "2", "3"))


def findings(settings: Settings) -> list[doctor.Finding]:
    return list(doctor._remote(settings))


def test_the_doctor_asks_the_server(tmp_path: Path) -> None:
    with ModelServer(knowing) as server:
        found = findings(settings_for(server, tmp_path))
        assert [one.state for one in found] == ["ok", "ok"]
        assert "small" in found[0].what and "2048 tokens" in found[1].what and "12 tokens used" in found[1].what
        (_, missing) = findings(settings_for(server, tmp_path, remote_model="large"))
        assert missing.state == "bad" and "large" in missing.what and "REMOTE_MODEL" in missing.remedy


def test_the_doctor_tells_a_server_without_log_probabilities(tmp_path: Path) -> None:
    def answer_plainly(_path: str, payload: Payload) -> Reply:
        return refuse("logprobs are not possible") if "logprobs" in payload else chat("A", None)

    with ModelServer(answer_plainly) as server:
        found = findings(settings_for(server, tmp_path))
    assert [one.state for one in found] == ["ok", "ok", "note"] and "logprobs" in found[2].what


def test_the_doctor_tells_a_server_that_is_down(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, remote_url="http://127.0.0.1:9/v1", remote_key=KEY)
    down = [one for one in doctor.examine(settings) if one.area == "remote"]
    assert [one.state for one in down] == ["bad"] and "127.0.0.1:9" in down[0].what and KEY not in str(down)
    unset = Settings(data_dir=tmp_path, fields={"topic": {"engine": "remote"}})
    with pytest.raises(Exception, match="LABELLOOP_REMOTE_URL"):
        findings(unset)
    assert findings(Settings(data_dir=tmp_path)) == []


def test_a_url_with_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="LABELLOOP_REMOTE_KEY"):
        Settings(remote_url="http://me:secret@localhost/v1")
