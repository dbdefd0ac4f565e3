"""Bad requests, each with the statuses that are right for it: what a stranger or a broken client may send."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.samples import CHOICES, PARCEL
from support.web import Web

GOOD = {"id": 77, "data": PARCEL}
BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY c "&a;&a;&a;&a;&a;&a;">]><View><Header value="&c;"/></View>'
FILE = '<!DOCTYPE b [<!ENTITY f SYSTEM "file:///etc/passwd">]><View><Header value="&f;"/></View>'


def deep(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


@dataclass(frozen=True)
class Case:
    """``body``: JSON value, or bytes sent as they are. ``good``: index of the task that must be answered anyway."""

    name: str
    route: str
    body: Any
    status: int
    key: str = "own"
    good: int | None = None
    method: str = "POST"


def _tasks(name: str, *tasks: Any, status: int = 200) -> Case:
    """A bad task between two good ones: the good ones get their predictions."""
    return Case(name, "/predict", {"tasks": [*tasks, GOOD], "project": "5.1795440943"}, status, good=len(tasks))


def _data(name: str, value: Any) -> Case:
    return _tasks(name, {"id": 1, "data": {"text": value}})


def _setup(name: str, schema: Any, status: int = 400, project: Any = "5.1795440943") -> Case:
    return Case(name, "/setup", {"project": project, "schema": schema}, status)


def _choices(inner: str, attributes: str = 'name="c" toName="t"') -> str:
    return f'<View><Text name="t" value="$text"/><Choices {attributes}>{inner}</Choices></View>'


SCALE = '<View><Text name="t" value="$x"/>{}</View>'
TWO = '<Choice value="a"/><Choice value="b"/>'

CASES: list[Case] = [
    # Bodies that are no JSON object
    *(
        Case(f"{name} to {route}", route, body, 400)
        for route in ("/setup", "/predict", "/webhook")
        for name, body in (
            ("an empty body", b""),
            ("half of a JSON object", b'{"tasks": ['),
            ("a list", b"[]"),
            ("null", b"null"),
            ("bytes that are no UTF-8", b"\xff\xfe\x00{"),
            ("100,000 open brackets", b"[" * 100_000),
        )
    ),
    Case("NaN as the project", "/setup", b'{"project": NaN, "schema": "<View/>"}', 400),
    Case("a form instead of JSON", "/predict", b"tasks=1&project=2", 400),
    Case("a body of 70 MB", "/predict", b'{"tasks": ["' + b"x" * 70_000_000 + b'"]}', 413),
    # Fields of the wrong type
    _setup("no schema", None),
    _setup("a number as schema", 5),
    _setup("no project", CHOICES, project=None),
    _setup("a word as project", CHOICES, project="mine"),
    _setup("a negative project", CHOICES, project="-1.5"),
    _setup("a list as project", CHOICES, project=[1]),
    _setup("a project number of 400 digits", CHOICES, project="9" * 400),
    _setup("true as project", CHOICES, project=True),
    Case("tasks missing", "/predict", {"project": "5.1795440943"}, 400),
    Case("tasks as an object", "/predict", {"tasks": {"id": 1}}, 400),
    Case("tasks as a string", "/predict", {"tasks": "all"}, 400),
    Case("a number as label_config", "/predict", {"tasks": [GOOD], "label_config": 5}, 400),
    Case("a list as params", "/predict", {"tasks": [GOOD], "params": []}, 400),
    Case("no tasks at all", "/predict", {"tasks": []}, 200),
    Case("10,000 tasks", "/predict", {"tasks": [GOOD] * 10_000}, 200, good=9_999),
    Case("10,001 tasks", "/predict", {"tasks": [GOOD] * 10_001}, 413),
    Case("a webhook without an action", "/webhook", {"project": {"id": 5}}, 400),
    Case("a webhook with a number as action", "/webhook", {"action": 5}, 400),
    Case("a webhook with an endless action", "/webhook", {"action": "A" * 10_000}, 400),
    Case("a webhook with a NUL in its action", "/webhook", {"action": "ANNOTATION\0", "project": {"id": 5}}, 400),
    Case("a webhook of a project beyond all numbers", "/webhook", {"action": "X", "project": {"id": 2**40}}, 400),
    Case("a setup of a project beyond all numbers", "/setup", {"project": "9999999999.1", "schema": CHOICES}, 400),
    Case("a webhook with what is no number", "/webhook",
         {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": 1, "result": [float("nan")]}}, 201),
    Case("a webhook of another project", "/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": 6}}, 400),
    Case("an unknown action", "/webhook", {"action": "SOMETHING_NEW", "project": {"id": 5}}, 201),
    Case("a webhook that is sent again", "/webhook", {"action": "SOMETHING_NEW", "project": {"id": 5}}, 201),
    Case("a webhook full of nulls", "/webhook", {"action": "TASKS_CREATED", "project": None, "tasks": None}, 201),
    Case("a webhook with words for annotations", "/webhook", {"action": "ANNOTATION_CREATED", "annotation": "x"}, 201),
    Case("a webhook with a NUL and a lone surrogate", "/webhook",
         b'{"action": "ANNOTATION_CREATED", "annotation": {"id": 3, "result": ["\\u0000 \\ud800"]}}', 201),
    # Label configs
    _setup("an empty schema", ""),
    _setup("XML that is not closed", "<View><Choices"),
    _setup("HTML with an open tag", "<View><br></View>"),
    _setup("an entity bomb", BOMB),
    _setup("an entity that reads a file", FILE),
    _setup("two roots", "<View/><View/>"),
    _setup("a schema of 2 MB", f"<View>{' ' * 2_000_000}</View>"),
    _setup("5,000 nested views", "<View>" * 5000 + "</View>" * 5000),
    _setup("a config without controls", "<View/>", 200),
    _setup("a control on a tag that is not there", _choices(TWO, 'name="c" toName="nothing"'), 200),
    _setup("a control without a name", _choices(TWO, 'toName="t"'), 200),
    _setup("one choice only", _choices('<Choice value="a"/>'), 200),
    _setup("the same choice twice", _choices('<Choice value="a"/><Choice value="a"/>'), 200),
    _setup("5,000 choices", _choices("".join(f'<Choice value="c{n}"/>' for n in range(5000))), 200),
    _setup("a rating of a million stars", SCALE.format('<Rating name="r" toName="t" maxRating="1000000"/>'), 200),
    _setup("a rating of minus one star", SCALE.format('<Rating name="r" toName="t" maxRating="-1"/>'), 200),
    _setup("a number without bounds", SCALE.format('<Number name="n" toName="t"/>'), 200),
    # Keys and projects
    Case("an unknown key", "/predict", {"tasks": [GOOD]}, 401, key="unknown"),
    Case("an endless key", "/predict", {"tasks": [GOOD]}, 401, key="k" * 5000),
    Case("a key with percent signs", "/setup", {"project": "5.1", "schema": CHOICES}, 401, key="%00%ff"),
    Case("no key", "/predict", {"tasks": [GOOD]}, 401, key=""),
    Case("another project's key", "/predict", {"tasks": [GOOD], "project": "6.1795440943"}, 401),
    Case("the same project number after a reset", "/predict", {"tasks": [GOOD], "project": "5.1895440943"}, 401),
    Case("GET where POST is needed", "/predict", None, 405, method="GET"),
    Case("a route that is not there", "/nothing", {}, 404),
    # Tasks, each beside a good one
    _tasks("null as a task", None),
    _tasks("a number as a task", 5),
    _tasks("a list as a task", [GOOD]),
    _tasks("a task without data", {"id": 1}),
    _tasks("null as data", {"id": 1, "data": None}),
    _tasks("a list as data", {"id": 1, "data": ["text"]}),
    _tasks("data without the key", {"id": 1, "data": {"other": "x"}}),
    _tasks("the same task five times", *[GOOD] * 5),
    _data("null as text", None),
    _data("an empty text", ""),
    _data("white space as text", " \n\t\u00a0\u200b"),
    _data("a number as text", 3.14),
    _data("true as text", True),
    _data("a list as text", ["one", "two"]),
    _data("an object as text", {"a": {"b": 1}}),
    _data("1 MB of one letter", "a" * 1_000_000),
    _data("1 MB of words", "word " * 200_000),
    _data("one word of 100,000 letters", "a" * 100_000),
    _data("emoji", "👩‍👩‍👧‍👦🏳️‍🌈" * 50),
    _data("right-to-left text", "أين طردي؟ لم يصل حتى الآن \u202eabc\u202c"),
    _data("combining characters", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!" * 20),
    _data("a NUL character", "before\u0000after"),
    _data("markup in plain text", "<script>alert(1)</script> {{ 7 * 7 }} ${jndi:ldap://x} {label}"),
    Case("a lone surrogate", "/predict",
         b'{"tasks": [{"data": {"text": "broken \\ud800 text"}}, ' + json.dumps(GOOD).encode() + b"]}", 200, good=1),
    _tasks("data nested 50 levels deep", {"id": 1, "data": {"text": deep(50)}}),
    Case("data nested 500 levels deep", "/predict", {"tasks": [{"data": {"text": deep(500)}}]}, 400),
]  # fmt: skip


def send(web: Web, case: Case) -> Any:
    """The answer to a case, from an app that is set up for project 5."""
    key = web.key if case.key == "own" else case.key
    path = f"/k/{key}{case.route}" if key else case.route
    call: Callable[..., Any] = web.client.get if case.method == "GET" else web.client.post
    if isinstance(case.body, bytes):
        return call(path, data=case.body, content_type="application/json")
    return call(path, json=case.body)
