"""The data sets of benchmarks/tasks.py as tasks: label config, prompt, how a reply is read, and what is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from labelloop.settings import FieldSetting
from labelloop.words import Answer, Span

NAMES = {"en": "English", "de": "German"}
CAPITALISED = re.compile(r"(?:[^\W\d_a-z]\w*)(?:[ -](?:(?:of|the|and|de|van|von) )?[^\W\d_a-z]\w*)*")

Row = dict[str, Any]
Said = list[Any]


@dataclass(frozen=True)
class Case:
    """A data set as a task. ``config``: the label config. ``control``: the one that is scored. ``data``: a row as an
    item's data. ``read``: our answer as what is scored. ``prompt``, ``parse``: generate-and-parse; None: not valid.
    ``trivial``: per row, what needs no model. ``counts``: (n_rows, k) per row of what was said; ``metrics`` make of
    their sums, by name, the first being the one that is compared. ``engines``: others than "auto" that are measured.
    ``parts``: by name, what a part of ours says alone."""

    name: str
    measured: str
    baseline: str
    config: str
    control: str
    data: Callable[[Row], Row]
    read: Callable[[Row, Answer], Any]
    prompt: Callable[[Row], str]
    parse: Callable[[Row, str], Any]
    trivial: Said
    counts: Callable[[Row, Any], Sequence[float]]
    metrics: dict[str, Callable[[np.ndarray], float]]
    max_tokens: int = 16
    directions: dict[str, FieldSetting] = field(default_factory=dict)
    given: Callable[[Row], dict[str, tuple[Span, ...]]] | None = None
    engines: tuple[str, ...] = ()
    parts: dict[str, Said] = field(default_factory=dict)


def mean(column: int) -> Callable[[np.ndarray], float]:
    """The mean over rows; column 0 of the counts is 1 in every row."""
    return lambda sums: float(sums[column] / sums[0])


def f1(sums: np.ndarray) -> float:
    """Of columns (1, right, gold, found)."""
    return float(2 * sums[1] / max(sums[2] + sums[3], 1))


def choices(name: str, rows: list[Row], what: str) -> Case:
    labels = sorted({row["label"] for row in rows})
    offered = "".join(f"<Choice value={quoteattr(label)}/>" for label in labels)
    majority = Counter(row["label"] for row in rows).most_common(1)[0][0]
    listed = "\n".join(f"- {label}" for label in labels)

    def parse(_row: Row, reply: str) -> str | None:
        """The label that the reply names first, the longest where several begin there."""
        text = plain(reply)
        found = [(at, -len(label), label) for label in labels if (at := text.find(plain(label))) >= 0]
        return min(found)[2] if found else None

    return Case(
        name,
        "accuracy",
        "majority",
        f'<View><Text name="text" value="$text"/><Choices name="label" toName="text">{offered}</Choices></View>',
        "label",
        lambda row: {"text": row["text"]},
        lambda row, answer: answer.labels[0][0] if answer.labels else None,
        lambda row: (
            f"Which {what} fits the text? Answer with one of these and nothing else:\n{listed}\n\nText: {row['text']}"
        ),
        parse,
        [majority] * len(rows),
        lambda row, said: (1, said == row["label"]),
        {"accuracy": mean(1)},
        engines=("causal",),
    )


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def entities(name: str, rows: list[Row]) -> Case:
    labels = sorted({one["label"] for row in rows for one in row["entities"]})
    offered = "".join(f'<Label value="{label}"/>' for label in labels)
    frequent = Counter(one["label"] for row in rows for one in row["entities"]).most_common(1)[0][0]

    def parse(row: Row, reply: str) -> set[tuple[int, int, str]] | None:
        """Lines "passage: label", each passage where it stands first."""
        found, lines = set(), [line for line in reply.splitlines() if line.strip()]
        for line in lines:
            passage, _, label = line.strip().lstrip("-*0123456789. ").rpartition(":")
            its = next((one for one in labels if one == label.strip().lower()), None)
            start = row["text"].find(passage.strip()) if passage.strip() else -1
            if its and start >= 0:
                found.add((start, start + len(passage.strip()), its))
        return found if found or "none" in reply.lower() else None

    def counts(row: Row, said: set[tuple[int, int, str]] | None) -> tuple[float, ...]:
        gold = {(one["start"], one["end"], one["label"]) for one in row["entities"]}
        said = said or set()
        return 1, len(gold & said), len(gold), len(said)

    return Case(
        name,
        "exact span F1",
        "capitalised words, the most frequent label",
        f'<View><Text name="text" value="$text"/><Labels name="marks" toName="text">{offered}</Labels></View>',
        "marks",
        lambda row: {"text": row["text"]},
        lambda row, answer: {(one.start, one.end, one.label[0]) for one in answer.spans},
        lambda row: (
            f"List every name in the text and its type ({', '.join(labels)}), one per line, as in "
            f'"Paris: location". If there is none, write "none".\n\nText: {row["text"]}'
        ),
        parse,
        [{(*match.span(), frequent) for match in CAPITALISED.finditer(row["text"])} for row in rows],
        counts,
        {"F1": f1},
        max_tokens=64,
    )


def relations(rows: list[Row]) -> Case:
    official = sorted({row["label"] for row in rows})
    offered = "".join(f'<Relation value="{label}"/>' for label in official if label != "Other")
    majority = Counter(row["label"] for row in rows).most_common(1)[0][0]
    listed = "\n".join(f"- {label}" for label in official)

    def given(row: Row) -> dict[str, tuple[Span, ...]]:
        ends = (row["head"], row["tail"])
        spans = [
            Span(field="marks", source="text", start=e["start"], end=e["end"], text=e["text"], label=("nominal",))
            for e in ends
        ]
        return {"relations": tuple(spans)}

    def read(_row: Row, answer: Answer) -> str:
        return max(answer.links, key=lambda link: link.score).label if answer.links else "Other"

    def parse(_row: Row, reply: str) -> str | None:
        text = reply.replace(" ", "").lower()
        found = [(at, label) for label in official if (at := text.find(label.lower())) >= 0]
        return min(found)[1] if found else None

    return Case(
        "semeval2010_task8",
        "accuracy, passages given",
        "majority",
        '<View><Labels name="marks" toName="text"><Label value="nominal"/></Labels><Relations>'
        f'{offered}</Relations><Text name="text" value="$text"/></View>',
        "relations",
        lambda row: {"text": row["text"]},
        read,
        lambda row: (
            f"How is e1 = {row['head']['text']!r} related to e2 = {row['tail']['text']!r} in the sentence? Answer "
            f"with one of these and nothing else:\n{listed}\n\nSentence: {row['text']}"
        ),
        parse,
        [majority] * len(rows),
        lambda row, said: (1, said == row["label"]),
        {"accuracy": mean(1)},
        given=given,
    )


def quotes(rows: list[Row]) -> Case:
    from labelloop.tasks.metrics import exact_match, overlap_f1

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        gold = [one["text"] for one in row["answers"]]
        if said is None:
            return 1, 0.0, 0.0
        return 1, overlap_f1(said, gold), exact_match(said, gold)

    def parse(_row: Row, reply: str) -> str | None:
        text = reply.strip().split("\n")[0].strip().strip('"')
        return "" if "no answer" in text.lower() else text or None

    return Case(
        "squad_v2",
        "word F1",
        "always: no answer",
        '<View><Text name="context" value="$context"/><Text name="question" value="$question"/>'
        '<Labels name="answer" toName="context"><Label value="Answer"/></Labels></View>',
        "answer",
        lambda row: {"context": row["context"], "question": row["question"]},
        lambda row, answer: answer.spans[0].text if answer.spans else "" if answer.reason is None else None,
        lambda row: (
            "Answer the question with words from the text and nothing else. If the text does not answer it, "
            f'write "no answer".\n\nText: {row["context"]}\n\nQuestion: {row["question"]}'
        ),
        parse,
        [""] * len(rows),
        counts,
        {"F1": mean(1), "exact match": mean(2)},
        max_tokens=32,
    )


def translation(rows: list[Row]) -> Case:
    from sacrebleu.metrics import BLEU

    from labelloop.prompting import load_file
    from labelloop.tasks.glossary import hits, word_by_word
    from labelloop.tasks.text_metrics import chrf
    from labelloop.tasks.translation import PROMPT, Prompt

    bleu = BLEU(effective_order=True)
    languages = {row[key] for row in rows for key in ("source_lang", "target_lang")}
    source, target = (NAMES.get(one, one) for one in (rows[0]["source_lang"], rows[0]["target_lang"]))
    assert len(languages) == 2
    glossary = load_file(PROMPT, "", Prompt).glossary
    codes = (rows[0]["source_lang"], rows[0]["target_lang"])
    glossed = [word_by_word(row["source"], hits(row["source"], glossary, *codes)) for row in rows]

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        gold = [row["target"]]
        return 1, chrf(said or "", gold), bleu.sentence_score(said or "", gold).score / 100

    return Case(
        "multi30k_en_de",
        "chrF, mean over sentences",
        "the source copied",
        '<View><Text name="source" value="$source"/><TextArea name="translation" toName="source" '
        f'placeholder="Translate from {source} into {target}"/></View>',
        "translation",
        lambda row: {"source": row["source"]},
        lambda row, answer: answer.texts[0] if answer.texts else None,
        lambda row: f"Translate from {source} to {target}. Write the translation and nothing else.\n\n{row['source']}",
        lambda row, reply: reply.strip().split("\n")[0].strip() or None,
        [row["source"] for row in rows],
        counts,
        {"chrF": mean(1), "BLEU of sentences": mean(2)},
        max_tokens=64,
        parts={"the glossary alone, word by word": glossed},
    )


def summaries(rows: list[Row]) -> Case:
    from labelloop.tasks.extracts import central, lead, pieces
    from labelloop.tasks.text_metrics import rouge

    made = {"lead": lambda parts: lead(parts, 30), "central": lambda parts: central(parts, 30)}

    def counts(row: Row, said: str | None) -> tuple[float, ...]:
        scores = rouge([said or ""], [row.get("summaries") or [row["summary"]]])
        return 1, scores["rougeL"][0], scores["rouge1"][0]

    return Case(
        "dialogsum",
        "ROUGE-L, best of the references",
        "the first turn",
        '<View><Text name="dialogue" value="$text"/><TextArea name="summary" toName="dialogue"/></View>',
        "summary",
        lambda row: {"text": row["text"]},
        lambda row, answer: answer.texts[0] if answer.texts else None,
        lambda row: f"Summarise the dialogue in one or two sentences. Write nothing else.\n\n{row['text']}",
        lambda row, reply: " ".join(reply.split()) or None,
        [row["text"].split("\n")[0] for row in rows],
        counts,
        {"ROUGE-L": mean(1), "ROUGE-1": mean(2)},
        max_tokens=96,
        parts={f"the {name} extract alone": [how(pieces(row["text"])) for row in rows] for name, how in made.items()},
    )


CASES: dict[str, Callable[[list[Row]], Case]] = {
    "ag_news": lambda rows: choices("ag_news", rows, "topic"),
    "sst2": lambda rows: choices("sst2", rows, "sentiment"),
    "banking77": lambda rows: choices("banking77", rows, "intent"),
    "wikigold": lambda rows: entities("wikigold", rows),
    "wikiann_en": lambda rows: entities("wikiann_en", rows),
    "semeval2010_task8": relations,
    "squad_v2": quotes,
    "multi30k_en_de": translation,
    "dialogsum": summaries,
}
