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

_LOWER, _UPPER = "a-zß-öø-ÿ\u0100-\u017f", "A-ZÀ-ÖØ-Þ"
_WORDS = re.compile(rf"[{_UPPER}]?[{_LOWER}]+|[{_UPPER}]+(?![{_LOWER}])|[^\W\d_{_LOWER}{_UPPER}]+")
QUESTION = frozenset({"question", "questions", "query", "queries", "q", "ask", "asked"})
_REQUEST = QUESTION | {"prompt", "prompts", "instruction", "instructions", "request", "search", "input", "task"}
_CONTEXT = frozenset(
    {"context", "contexts", "passage", "passages", "text", "document", "documents", "doc", "docs", "paragraph"}
    | {"paragraphs", "article", "articles", "body", "content", "story", "page", "source", "evidence", "transcript"}
)
ANSWER = frozenset(
    {"answer", "answers", "answering", "answered", "antwort", "antworten", "beantwortet", "respuesta", "respuestas"}
    | {"responde", "réponse", "réponses", "reponse", "répond", "risposta", "risposte", "risponde", "resposta"}
    | {"respostas", "antwoord", "svar", "svaret", "odpowiedź", "odpověď", "vastaus", "válasz", "cevap", "yanıt"}
    | {"ответ", "ответы", "відповідь", "إجابة", "الإجابة"}
)
_ANSWER_PARTS = ("答案", "回答", "答え", "解答", "답변", "정답")  # of scripts that set no spaces around words
_PROOF = frozenset(
    {"evidence", "support", "supports", "supporting", "quote", "quotes", "quotation", "quotations", "excerpt"}
    | {"excerpts", "beleg", "belege", "zitat", "preuve", "prueba", "prova"}
)
_PLACE = frozenset(  # what marks the answer, and beside it what the text is made of
    {"span", "spans", "passage", "passages", "response", "responses", "highlight", "highlights", "highlighted"}
    | {"relevant", "textstelle", "passaggio", "pasaje", "extrait"}
)
REPLY = ANSWER | {"response", "responses", "reply", "completion", "output", "prediction", "candidate", "hypothesis"}
_OTHERWISE = frozenset(  # what people write in a text box beside a question, other than its answer
    {"summary", "summaries", "summarize", "summarise", "summarization", "translation", "translate", "paraphrase"}
    | {"rewrite", "rephrase", "comment", "comments", "note", "notes", "feedback", "reason", "reasons", "reasoning"}
    | {"explain", "explanation", "rationale", "why", "correct", "corrected", "correction", "corrections", "keyword"}
    | {"keywords", "title", "headline", "tag", "tags", "suggestion", "suggestions", "remark", "remarks", "justify"}
    | {"justification", "name", "email", "transcription", "caption", "description", "describe", "edit", "improve"}
)


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written with spaces between them."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Asked:
    """``question``: the object that holds a question; ``contexts``: those that can hold the answer."""

    question: str
    contexts: tuple[str, ...]


def find_question(objects: Mapping[str, Any]) -> Asked | None:
    """The question among a config's objects; None where there is not exactly one, or nothing that could answer it."""
    texts = {name: node for name, node in objects.items() if tag(node) in TEXTS and datapath.key_of(value(node))}
    asking = [name for name, node in texts.items() if is_question(node)]
    if len(asking) != 1:
        return None
    others = [name for name, node in texts.items() if name != asking[0] and not names_of(node) & REPLY]
    contexts = [name for name in others if names_of(texts[name]) & _CONTEXT] or others
    return Asked(asking[0], tuple(contexts)) if contexts else None


def is_request(node: Any) -> bool:
    """Whether an object holds what somebody asks for: a question, a prompt, search words."""
    return bool(names_of(node) & _REQUEST) or is_question(node)


def is_answer(labels: Iterable[Label], name: str, told: str) -> bool:
    """Whether the labels of a span control mark answers: every one says so; or there is one only, and it, the control's
    ``name`` or the header that stands with it (``told``) says so or speaks of evidence. "Person" marks persons, also
    beside a question."""
    known = list(labels)
    if all(_says(label.text, ANSWER) for label in known):
        return True
    wide = ANSWER | _PROOF | _PLACE
    # no place in a header: "Highlight every person in the passage"
    return len(known) == 1 and (_says(known[0].text, wide) or _says(name, wide) or _says(told, ANSWER | _PROOF))


def takes_answer(control: Any, told: str) -> bool:
    """Whether a text box beside a question is for its answer. ``told``: the title or header that stands with it."""
    name = _words(attr(control, "name"))
    around = _words(told) | _words(attr(control, "placeholder"))
    return not (name | around) & _OTHERWISE and not name & (QUESTION - {"q"} if not name & ANSWER else frozenset())


def is_question(node: Any) -> bool:
    if names_of(node) & QUESTION:
        return True
    header = next((before for before in node.itersiblings(preceding=True)), None)
    told = _words(value(header)) if header is not None and tag(header) == "header" else frozenset()
    return bool(told & QUESTION) and not told & _CONTEXT and not told & ANSWER


def _says(text: str, words: frozenset[str]) -> bool:
    return bool(_words(text) & words) or any(part in text for part in _ANSWER_PARTS)


def names_of(node: Any) -> frozenset[str]:
    """The words in an object's name and in the key of its data."""
    return _words(attr(node, "name")) | _words(datapath.key_of(value(node)))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text or an identifier in lower case, in order: "targetText_DE" has target, text, de."""
    return tuple(word.lower() for word in _WORDS.findall(text))


def _words(text: str) -> frozenset[str]:
    return frozenset(words_of(text))
