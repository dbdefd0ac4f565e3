"""Whether a reply to a written item is right: 0 or 1, or a share. Independent of the product's own measures.

Code is run here, and only here: in a process of its own, isolated, with little time and memory.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable

SECONDS, MEMORY = 5, 512 * 1024**2
_WORD = re.compile(r"[^\W_]+(?:['’.][^\W_]+)*|[£$€]")
_RUN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
space = {{}}
exec(compile({code!r}, "reply", "exec"), space)
for test in {tests!r}:
    if eval(test, space) is not True:
        sys.exit(1)
"""


def words(text: str) -> list[str]:
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def says(text: str, group: list[str]) -> bool:
    """Whether one of the words occurs, in this form, with -s, or in a contraction ("I'm" has no "i" here)."""
    found = {part for word in words(text) for part in (word, word.removesuffix("'s"))}
    return any(one in found or f"{one}s" in found for one in group)


def english(text: str) -> bool:
    letters = [one for one in text if one.isalpha()]
    return bool(letters) and sum(one.isascii() for one in letters) >= 0.9 * len(letters)


def dialogue(item: dict, reply: str) -> float:
    """A label: whether it is the gold one. A turn: in English, of one speaker, at most 60 words, saying one of
    the words that an answer has, and not what was said already."""
    if item["form"] == "label":
        return float(reply.strip().lower() == item["gold"].lower())
    text = reply.strip()
    said = [turn for _, turn in item["turns"]]
    speakers = {name for name, _ in item["turns"]} | {item["next"]}
    own = text.removeprefix(f"{item['next']}:").strip()
    if not own or not english(own) or len(words(own)) > 60:
        return 0.0
    if any(re.search(rf"(?:^|\s){re.escape(name)}:", own) for name in speakers):
        return 0.0
    if any(words(own) == words(one) or overlap(own, one) > 0.8 for one in said):
        return 0.0
    return float(says(own, item["any_of"]))


def overlap(one: str, other: str) -> float:
    """Jaccard of the words."""
    ours, theirs = set(words(one)), set(words(other))
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def code(item: dict, reply: str) -> float:
    """Whether the code passes all tests."""
    source = bare_code(reply)
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return 0.0
    script = _RUN.format(seconds=SECONDS, memory=MEMORY, code=source, tests=item["tests"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            ran = subprocess.run(
                [sys.executable, "-I", "-c", script],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=2 * SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 0.0
    return float(ran.returncode == 0)


def bare_code(reply: str) -> str:
    """What stands in the first fence, else all of it."""
    match = re.search(r"```[^\n]*\n(.*?)(?:```|\Z)", reply, re.DOTALL)
    return match[1] if match else reply


def commonsense(item: dict, reply: str) -> float:
    """A choice: whether it is the gold one. An answer: whether the first sentence has an accepted one."""
    if item["form"] == "choice":
        return float(reply.strip() == item["gold"])
    first = re.split(r"(?<=[.!?])\s|\n", reply.strip())[0]
    return float(any(re.search(one, first, re.IGNORECASE) for one in item["accept"]))


def control(item: dict, reply: str) -> float:
    """0 for a text that says nothing of the topic or copies the instruction; else the share of options that hold."""
    text = reply.strip()
    if not says(text, item["about"]) or words(text) == words(item["instruction"]) or text == item.get("text"):
        return 0.0
    held = [CONTROLS[name](text, value) for name, value in item["options"].items()]
    return sum(held) / len(held)


def _within(count: int, value: str) -> bool:
    if value.startswith("<="):
        return 1 <= count <= int(value[2:])
    low, _, high = value.partition("-")
    return int(low) <= count <= int(high or low)


def _sentences(text: str) -> int:
    return len([one for one in re.split(r"(?<=[.!?])[\"'”)]*\s+|\n+", text.strip()) if words(one)])


def _form(word: str) -> str:
    for ending in ("ing", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)]
    return word


def _has(text: str, value: str) -> list[bool]:
    found = {_form(word) for word in words(text)}
    return [all(_form(word) in found for word in words(one)) for one in value.split(",")]


_SLANG = {
    "hey",
    "hi",
    "gonna",
    "wanna",
    "yeah",
    "guys",
    "lol",
    "cool",
    "awesome",
    "ok",
    "okay",
    "bye",
    "cheers",
    "dude",
}
_CONTRACTION = re.compile(r"\w(?:n['’]t|['’](?:m|re|ve|ll|d|s))\b", re.IGNORECASE)


def _style(text: str, value: str) -> bool:
    found = set(words(text))
    contracted = _CONTRACTION.search(text) is not None
    if value == "formal":
        return not contracted and not found & _SLANG and "!" not in text and text[:1].isupper()
    if value == "informal":
        return contracted or bool(found & _SLANG) or "!" in text
    if value == "polite":
        return bool(found & {"please", "thank", "thanks", "kindly", "appreciate", "sorry", "grateful"}) or (
            re.search(r"\b(would|could) you\b", text, re.IGNORECASE) is not None
        )
    return "!" in text or bool(found & {"excited", "amazing", "love", "thrilled", "fantastic", "great", "wonderful"})


def _format(text: str, value: str) -> bool:
    if value == "json":
        try:
            return isinstance(json.loads(text), dict | list)
        except ValueError:
            return False
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) >= 2 and all(re.match(r"\s*(?:[-*•]|\d+[.)])\s+\S", line) for line in lines)


CONTROLS: dict[str, Callable[[str, str], float]] = {
    "words": lambda text, value: _within(len(text.split()), value),
    "sentences": lambda text, value: _within(_sentences(text), value),
    "keywords": lambda text, value: all(_has(text, value)),
    "avoid": lambda text, value: not any(_has(text, value)),
    "style": _style,
    "format": _format,
}
CHECKS: dict[str, Callable[[dict, str], float]] = {
    "dialogue": dialogue,
    "code": code,
    "commonsense": commonsense,
    "control": control,
}


def self_test() -> None:
    """Right replies pass, wrong ones fail: the checks of this file, checked."""
    adds = {"tests": ["add(1, 2) == 3"]}
    assert code(adds, "```python\ndef add(a, b):\n    return a + b\n```") == 1
    assert code(adds, "def add(a, b):\n    return None") == 0 and code(adds, "Sure!") == 0
    assert code(adds, "def add(a, b):\n    while True: pass") == 0
    turn = {"form": "next", "turns": [["A", "Tea or coffee?"]], "next": "B", "any_of": ["tea", "coffee"]}
    assert dialogue(turn, "Tea, please.") == 1 and dialogue(turn, "B: Coffee!") == 1
    assert dialogue(turn, "Tea or coffee?") == 0 and dialogue(turn, "Tea. A: Fine.") == 0 and dialogue(turn, "No.") == 0
    wish = {"instruction": "Write.", "about": ["rain"], "options": {"words": "<=4", "keywords": "storm"}}
    assert control(wish, "Rain in the storms.") == 1 and control(wish, "Rain came with the storm.") == 0.5
    assert control(wish, "Write.") == 0


if __name__ == "__main__":
    self_test()
    print("The checks do what they say.")
