"""How near written texts are to texts of people: chrF and BLEU, ROUGE, exact match and F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labelloop.tasks.metrics import exact_match, overlap_f1
from labelloop.tasks.sentences import tokens


def chrf(text: str, references: Sequence[str]) -> float:
    """Character n-gram F2 in [0, 1] (Popović 2015), against the nearest of several references."""
    from sacrebleu import sentence_chrf

    return float(max(sentence_chrf(text, [one]).score for one in references)) / 100 if references else 0.0


def corpus_chrf(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """chrF of all texts together, in [0, 1], as sacrebleu counts it."""
    from sacrebleu import corpus_chrf as measure

    return float(measure(list(texts), _streams(references)).score) / 100


def corpus_bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU of all texts together, in [0, 1] (Papineni et al. 2002), as sacrebleu counts it (Post 2018)."""
    from sacrebleu import corpus_bleu as measure

    return float(measure(list(texts), _streams(references)).score) / 100


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References as sacrebleu takes them: first all first ones, then all second ones, ..."""
    most = max((len(its) for its in references), default=0)
    return [[its[place] if place < len(its) else None for its in references] for place in range(max(1, most))]


def rouge(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    """F1 of shared words, word pairs and the longest common subsequence (Lin 2004), with stemming: per text
    "rouge1", "rouge2", "rougeL", each against the reference that it is nearest to."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(list(names), use_stemmer=True)
    found = [
        scorer.score_multi(list(its) or [""], text) if text or its else None
        for text, its in zip(texts, references, strict=True)
    ]
    return {name: [float(one[name].fmeasure) if one else 0.0 for one in found] for name in names}


USEFUL = {"translation": 0.4, "summarisation": 0.25, "question_answering": 0.5}
"""By kind, the least of its first metric (of the text alone) with which a text counts as right: chrF, ROUGE-L, F1. The
scores of answers are probabilities of this."""
NAMES = {"translation": "chrF", "summarisation": "ROUGE-L"}
"""By kind, what ``each`` measures; F1 of all others."""


def each(kind: str, texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Per text, in [0, 1], the metric that says whether it is right: chrF of translations, ROUGE-L of summaries, F1 of
    shared words of all others."""
    if kind == "translation":
        return [chrf(text, its) for text, its in zip(texts, references, strict=True)]
    if kind == "summarisation":
        return rouge(texts, references)["rougeL"]
    return [overlap_f1(text, its) for text, its in zip(texts, references, strict=True)]


def measure(kind: str, texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """The metrics of a kind over all texts, in [0, 1], the one that counts first: "chrf", "bleu" of translations;
    "rougeL", "rouge1", "rouge2" of summaries; "f1", "exact_match" of all others; of dialogue and generation "chrf" too,
    and of dialogue "distinct_1", "distinct_2".

    Args:
        texts: "" where nothing was written.
        references: per text those of people; none: nothing is to be written.
    """
    if not texts:
        return {}
    if kind == "translation":
        return {"chrf": corpus_chrf(texts, references), "bleu": corpus_bleu(texts, references)}
    if kind == "summarisation":
        found = rouge(texts, references)
        return {name: float(np.mean(found[name])) for name in ("rougeL", "rouge1", "rouge2")}
    exact = [exact_match(text, its) for text, its in zip(texts, references, strict=True)]
    scores = {"f1": float(np.mean(each(kind, texts, references))), "exact_match": float(np.mean(exact))}
    if kind in ("dialogue", "generation"):
        scores["chrf"] = float(np.mean([chrf(text, its) for text, its in zip(texts, references, strict=True)]))
    if kind == "dialogue":
        scores |= {f"distinct_{size}": distinct(texts, size) for size in (1, 2)}
    return scores


def distinct(texts: Sequence[str], size: int) -> float:
    """In [0, 1]: the share of runs of ``size`` words, over all texts, that differ (Li et al. 2016): low where every
    reply says the same. 0.0 where there are none."""
    runs: list[tuple[str, ...]] = []
    for text in texts:
        words = [token.low for token in tokens(text) if token.is_word]
        runs += zip(*(words[start:] for start in range(size)), strict=False)
    return len(set(runs)) / len(runs) if runs else 0.0


def fulfilled(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean fulfilment of each control over the texts that it was measured on, in [0, 1]."""
    names = sorted({name for its in measured for name in its})
    return {name: float(np.mean([its[name] for its in measured if name in its])) for name in names}
