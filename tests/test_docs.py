"""The documentation says what is so: its commands run, its files are read, its links lead somewhere."""

import ast
import json
import re
import shlex
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from labelloop.cli import app
from labelloop.demo.project import CONFIG, MESSAGES
from labelloop.errors import LabelLoopError
from labelloop.settings import Settings, get_settings
from labelloop.studio.directions import read_extra
from labelloop.studio.schema import read_config
from support.documented import PAGES, README, ROOT, Block, Command, anchors, blocks, commands, links, prose

ONLY_PARSED = {
    **dict.fromkeys(("up", "serve", "worker", "trainer"), "run until they are stopped; tests/e2e starts them"),
    "demo": "starts a Label Studio; tests/e2e/test_demo.py runs it",
    **dict.fromkeys(
        ("connect", "preannotate", "sync", "import", "try --project"),
        "need a running Label Studio; tests/e2e uses them, or what they call, on one",
    ),
    **dict.fromkeys(
        ("status", "refresh", "versions", "promote", "rollback"),
        "need a project that is connected, and all processes; tests/e2e uses them, or what they call",
    ),
    **dict.fromkeys(("backup", "restore"), "need a store with rows in it; tests/test_cli_store.py runs them"),
    **dict.fromkeys(("simulate", "ensemble fit", "prompts compare"), "compute for minutes; have tests of their own"),
}
"""Commands whose options are checked and that are not run here, and why."""

WRITTEN = {"translation.md", "summarisation.md", "dialogue.md", "generation.md"}
"""Pages on whose rows the starter writer would be at work for most of a minute each; tests/tasks has it write. There
`predict`, `try` and `evaluate` are parsed only; on the page of question answering it writes."""

SHELL = {"mkdir"}
NOT_OURS = {"git", "source", "cd", "cp", "label-studio-ml"}
TEXT_ONLY = {"", "text", "http", "mermaid"}
ALL = (README, ROOT / "prompts" / "README.md", *PAGES)
PARTS = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in ALL]


@pytest.mark.parametrize("page", PARTS)
def test_every_block_does_what_it_says(page: Path, terminal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(terminal / "data"))
    (terminal / "config.xml").write_text(CONFIG.read_text(encoding="utf-8"), encoding="utf-8")
    rows = MESSAGES.read_text(encoding="utf-8").splitlines(keepends=True)
    (terminal / "messages.jsonl").write_text("".join(rows[:12]), encoding="utf-8")  # the demo's, a few of them
    for block in blocks(page):
        if block.named and "/" not in block.named:
            (terminal / block.named).write_text(block.text, encoding="utf-8")
        try:
            _check(block)
            for command in commands(block) if block.language in {"bash", "console"} else ():
                _follow(command, terminal, page)
        except Exception as error:
            raise AssertionError(f"{page.relative_to(ROOT)}:{block.line}: {error}\n{block.text}") from error


def _check(block: Block) -> None:
    """A block that is no command has the form that it claims, and LabelLoop reads it."""
    if block.language == "json":
        value = json.loads(block.text)
        if isinstance(value, dict) and "fields" in value and not block.named:
            read_extra(block.text)
    elif block.language == "toml":
        Settings(**tomllib.loads(block.text))
    elif block.language == "xml":
        assert read_config(block.text).fields
    elif block.language == "python":
        exec(compile(block.text, "<block>", "exec"), {})
    else:
        assert block.language in TEXT_ONLY | {"bash", "console", "yaml", "jsonl", "ini"}, block.language


def _follow(command: Command, folder: Path, page: Path) -> None:
    """Runs a command, or checks as much of it as can be checked here."""
    words = list(command.words)
    while words and re.fullmatch(r"LABELLOOP_[A-Z_]+=.*", words[0]):
        assert words[0].split("=")[0].removeprefix("LABELLOOP_").lower() in Settings.model_fields, words[0]
        words.pop(0)
    while "&&" in words:
        place = words.index("&&")
        _follow(Command(tuple(words[:place]), (), command.line), folder, page)
        words = words[place + 1 :]
    if words and words[0] == "export":
        words = words[1:]
        assert words[0].split("=")[0].removeprefix("LABELLOOP_").lower() in Settings.model_fields, words
        return
    if not words or words[0] in NOT_OURS:
        return
    if words[0] == "labelloop":
        writes = page.name in WRITTEN and words[1] in {"predict", "try", "evaluate"}
        _labelloop(words[1:], command.shown, folder, only_parse=writes)
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), words
    elif words[0] == "pip":
        for place, word in enumerate(words):
            assert word != "-r" or (ROOT / words[place + 1]).is_file(), words
    elif words[0] == "sh":
        assert (ROOT / words[1]).is_file(), words
    elif words[:2] == ["docker", "compose"]:  # tests/test_docker.py reads the files; docker/verify.sh runs them
        assert all((ROOT / named).is_file() for option, named in pairwise(words) if option == "-f"), words
    elif words[0] in SHELL:
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    else:
        raise AssertionError(f"say here how {words[0]} is checked")


def _labelloop(words: list[str], shown: tuple[str, ...], folder: Path, only_parse: bool) -> None:
    target = words[words.index(">") + 1] if ">" in words else ""
    words = words[: words.index(">")] if target else words
    _parse(words)
    if only_parse or any(" ".join(words).startswith(only) for only in ONLY_PARSED):
        assert not shown, "what a command shows that is not run here cannot be checked"
        return
    get_settings.cache_clear()
    done = CliRunner().invoke(app, words, env={"COLUMNS": "140"})
    output = done.output
    if isinstance(done.exception, LabelLoopError):
        output += f"Error: {done.exception.message}\nWhat to do: {done.exception.remedy}\n"
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if target:
        (folder / target).write_text(done.stdout, encoding="utf-8")
    assert shown or done.exit_code == 0, output
    said = _bare(output)
    for line in shown:
        assert all(_bare(part) in said for part in line.split("…")), f"{line}\n--- not in:\n{output}"


def _parse(words: list[str]) -> None:
    """Raises where the command or one of its options does not exist, or a value is not as it must be."""
    command, rest, context = _find(words)
    if "--help" not in rest:
        command.make_context(command.name, rest, parent=context)


def _find(words: list[str]) -> tuple[Any, list[str], Any]:
    """(the command, the words behind its name, the context that it is called in). Raises as ``_parse``."""
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "resolve_command") and words:
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
        assert command is not None, f"there is no such command: {words}"
    return command, words, context


@pytest.mark.parametrize("page", PARTS)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    for named in re.findall(r"`labelloop ([^`]+)`", prose(page)):
        command, words, _ = _find(shlex.split(named))
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, named


def _bare(text: str) -> str:
    """Without what differs from run to run: spaces, lines of tables, figures, hashes."""
    text = re.sub(r"\bv\d+-[0-9a-f]{8}\b", "v#", text)
    return "".join(re.sub(r"[\d.]+", "#", text).translate(dict.fromkeys(map(ord, "│─━╭╮╰╯┃╷╵╶╴ \n\t"))).split())


@pytest.mark.parametrize("page", PARTS)
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PARTS)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"LABELLOOP_([A-Z_]*[A-Z])\b", page.read_text(encoding="utf-8")))
    known = {name.upper() for name in Settings.model_fields} | {"CONFIG", "LABEL_STUDIO_BIN"}
    assert {one for one in named - known if not one.startswith("TEST_")} == set()


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    there = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert set(PAGES) - {index} <= there
    assert prose(index).startswith("# ")


FAQ = ROOT / "docs" / "faq.md"
SOURCES = (*(ROOT / "backend" / "labelloop").rglob("*.py"), ROOT / "Makefile")


def _messages() -> list[str]:
    """What stands first in each row of the FAQ's tables."""
    return [
        match
        for match in re.findall(r"^\| `(.+?)`[^|]*\|", FAQ.read_text(encoding="utf-8"), re.MULTILINE)
        if match != "message"
    ]


def _strings() -> set[str]:
    """Every text in the code, with "…" for what is filled in, and pieces that stand side by side put together."""
    found = set()
    for source in SOURCES:
        if source.suffix != ".py":
            found |= set(re.findall(r'"([^"]+)"', source.read_text(encoding="utf-8")))
            continue
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
    return found


def test_each_message_of_the_faq_is_one_of_ours() -> None:
    known = _strings()
    messages = _messages()
    assert len(messages) > 30
    strange = [one for one in messages if not any(_means(one, known_one) for known_one in known)]
    assert strange == []


def _means(message: str, text: str) -> bool:
    """Whether a text of the code reads like a message, whatever is filled in."""
    parts = text.split("…")
    if sum(map(len, parts)) < 9 or not all(part in message for part in parts):
        return False
    return re.fullmatch(".*".join(map(re.escape, parts)), message) is not None


def test_each_figure_of_sizing_stands_in_the_result_that_it_links_to() -> None:
    page = ROOT / "docs" / "sizing.md"
    checked = 0
    for chunk in re.split(r"\n\n|\n(?=[-|] ?)", page.read_text(encoding="utf-8")):
        results = [(page.parent / link).resolve() for link in re.findall(r"\]\((\S+results/\w+\.md)\)", chunk)]
        told = " ".join(one.read_text(encoding="utf-8") for one in results).replace(",", "")
        words = re.sub(r"\(\S+\)|`[^`]*`|\d+ of 100\b", "", chunk).replace(",", "")
        for figure in re.findall(r"\b\d+\.\d+\b|\b\d{3,}\b", words):
            assert results and re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", told), f"{figure}: {chunk}"
            checked += 1
    assert checked > 25
