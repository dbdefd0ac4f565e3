"""Which object of a config holds a question, and which the text that answers it: told by their names and headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labelloop.studio import datapath
from labelloop.studio.config_xml import attr, tag, value
from labelloop.studio.controls import TEXTS
from labelloop.words import Label

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")
_QUESTION = frozenset({"question", "questions", "query", "queries", "q", "ask", "asked"})
_REQUEST = _QUESTION | {"prompt", "prompts", "instruction", "instructions", "request", "search", "input", "task"}
_CONTEXT = frozenset(
    {"context", "contexts", "passage", "passages", "text", "document", "documents", "doc", "docs", "paragraph"}
    | {"paragraphs", "article", "articles", "body", "content", "story", "page", "source", "evidence", "transcript"}
)
_ANSWER = frozenset({"answer", "answers", "answering"})
_REPLY = _ANSWER | {"response", "responses", "reply", "completion", "output", "prediction", "candidate", "hypothesis"}
_OTHERWISE = frozenset(  # what people write in a text box beside a question, other than its answer
    {"summary", "summaries", "summarize", "summarise", "summarization", "translation", "translate", "paraphrase"}
    | {"rewrite", "rephrase", "comment", "comments", "note", "notes", "feedback", "reason", "reasons", "reasoning"}
    | {"explain", "explanation", "rationale", "why", "correct", "corrected", "correction", "corrections", "keyword"}
    | {"keywords", "title", "headline", "tag", "tags", "suggestion", "suggestions", "remark", "remarks", "justify"}
    | {"justification", "name", "email", "transcription", "caption", "description", "describe", "edit", "improve"}
)


@dataclass(frozen=True)
class Asked:
    """``question``: the object that holds a question; ``contexts``: those that can hold the answer."""

    question: str
    contexts: tuple[str, ...]


def find_question(objects: Mapping[str, Any]) -> Asked | None:
    """The question among a config's objects; None where there is not exactly one, or nothing that could answer it."""
    texts = {name: node for name, node in objects.items() if tag(node) in TEXTS and datapath.key_of(value(node))}
    asking = [name for name, node in texts.items() if _is_question(node)]
    if len(asking) != 1:
        return None
    others = [name for name, node in texts.items() if name != asking[0] and not _names(node) & _REPLY]
    contexts = [name for name in others if _names(texts[name]) & _CONTEXT] or others
    return Asked(asking[0], tuple(contexts)) if contexts else None


def is_request(node: Any) -> bool:
    """Whether an object holds what somebody asks for: a question, a prompt, search words."""
    return bool(_names(node) & _REQUEST) or _is_question(node)


def is_answer(labels: Iterable[Label]) -> bool:
    """Whether the labels of a span control mark answers: there is one only, or every one says so."""
    known = list(labels)
    return len(known) == 1 or all(_words(label.text) & _ANSWER for label in known)


def takes_answer(control: Any, told: str) -> bool:
    """Whether a text box beside a question is for its answer. ``told``: the title or header that stands with it."""
    name = _words(attr(control, "name"))
    around = _words(told) | _words(attr(control, "placeholder"))
    return not (name | around) & _OTHERWISE and not name & (_QUESTION - {"q"} if not name & _ANSWER else frozenset())


def _is_question(node: Any) -> bool:
    if _names(node) & _QUESTION:
        return True
    header = next((before for before in node.itersiblings(preceding=True)), None)
    told = _words(value(header)) if header is not None and tag(header) == "header" else frozenset()
    return bool(told & _QUESTION) and not told & _CONTEXT and not told & _ANSWER


def _names(node: Any) -> frozenset[str]:
    return _words(attr(node, "name")) | _words(datapath.key_of(value(node)))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(text))
