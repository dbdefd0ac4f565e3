"""Chooses the numbers of prompts/extraction from questions with known answers, and says how well they do on others.

Run:  PYTHONPATH=backend python benchmarks/fit_extraction.py <file.jsonl>
Rows as in SQuAD 2.0: context, question, answers (each with a text; none: no answer), and title. Prints the keys
``forms``, ``weights`` and ``outcomes``, and figures by cross-validation over titles: no title is in both parts.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from labelloop.engines import load
from labelloop.engines.identity import identify
from labelloop.prompting import load_file
from labelloop.settings import Settings
from labelloop.tasks import quoting
from labelloop.tasks.candidates import FORMS
from labelloop.tasks.closeness import ALONE, IN_TEXT
from labelloop.tasks.extraction import PROMPT, TOGETHER, signs
from labelloop.tasks.extraction_prompt import OUTCOMES, SIGNS, Prompt
from labelloop.tasks.metrics import exact_match, overlap_f1
from labelloop.words import Passage, Reading

COLUMNS = (*IN_TEXT, *ALONE)
DECAY, SIGNS_DECAY, FOLDS = 3e-4, 0.1, 6
NEAR = 0.4  # F1 from which on an answer that is not exact is near


@dataclass
class Row:
    """A question: its candidates' columns with one for each (type, form), their F1 and exactness against the gold."""

    title: str
    answerable: bool
    found: quoting.Found
    columns: np.ndarray
    f1: np.ndarray
    exact: np.ndarray


def read(path: Path, prompt: Prompt) -> list[Row]:
    settings = Settings(encoder="starter")
    engine = load("encoder", "starter", identify("starter"), settings)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines.sort(key=lambda line: line["context"])
    rows = []
    for start in range(0, len(lines), TOGETHER):
        part = lines[start : start + TOGETHER]
        readings = [Reading(passages=(Passage(name="text", text=line["context"]),)) for line in part]
        for line, found in zip(
            part, quoting.search(readings, [line["question"] for line in part], engine, prompt), strict=True
        ):
            if found and found.candidates:
                rows.append(row(line, found, list(prompt.types)))
    return rows


def row(line: dict, found: quoting.Found, types: list[str]) -> Row:
    gold = [one["text"] for one in line["answers"]]
    forms = np.zeros((len(found.candidates), len(types) * len(FORMS)))
    for index, (_, one) in enumerate(found.candidates):
        forms[index, types.index(found.question.type) * len(FORMS) + FORMS.index(one.form)] = 1
    f1 = [overlap_f1(quote, gold) if gold else 0.0 for quote in found.quotes]
    exact = [exact_match(quote, gold) if gold else 0.0 for quote in found.quotes]
    columns = np.concatenate([found.columns, forms], axis=1)
    return Row(line["title"], bool(gold), found, columns, np.array(f1), np.array(exact))


def fit_weights(rows: list[Row]) -> np.ndarray:
    """Maximises half the likelihood of the best candidates, half the logarithm of the gain expected from choosing by
    it; the gain is the mean of F1 and exactness."""
    rows = [one for one in rows if one.f1.max(initial=0) > 0]
    columns = torch.tensor(np.concatenate([one.columns for one in rows]))
    owner = torch.tensor(np.repeat(np.arange(len(rows)), [len(one.columns) for one in rows]))
    gain = torch.tensor(np.concatenate([(one.f1 + one.exact) / 2 for one in rows]))
    zeros = torch.zeros(len(rows), dtype=torch.float64)
    best = (gain >= zeros.scatter_reduce(0, owner, gain, "amax")[owner] - 1e-9).double()
    weights = torch.zeros(columns.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = columns @ weights
        exponents = torch.exp(
            logits - zeros.scatter_reduce(0, owner, logits, "amax", include_self=False).detach()[owner]
        )
        total = zeros.scatter_add(0, owner, exponents)
        chosen = zeros.scatter_add(0, owner, exponents * best) / total
        expected = zeros.scatter_add(0, owner, exponents * gain) / total
        value = -(torch.log(chosen + 1e-12) + torch.log(expected + 1e-6)).mean() / 2 + DECAY / 2 * (weights**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach().numpy()


def outcome(one: Row, weights: np.ndarray) -> int:
    best = int((one.columns @ weights).argmax())
    if not one.answerable:
        return OUTCOMES.index("none")
    return OUTCOMES.index("right" if one.exact[best] else "near" if one.f1[best] >= NEAR else "wrong")


def fit_outcomes(told: np.ndarray, found: np.ndarray, answerable: np.ndarray) -> np.ndarray:
    """(n_outcomes, n_signs) by logistic regression; answerable and other questions count alike."""
    scale = told.std(axis=0)
    scale[scale == 0] = 1
    share = answerable.mean()
    weight = np.where(answerable, 0.5 / share, 0.5 / (1 - share))
    model = LogisticRegression(C=SIGNS_DECAY, max_iter=3000, fit_intercept=True)
    model.fit(told[:, 1:] / scale[1:], found, sample_weight=weight)
    return np.concatenate([model.intercept_[:, None], model.coef_ / scale[1:]], axis=1)


def fit(rows: list[Row], titles: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and outcomes from scores of inner cross-validation, as weights flatter what they were fitted to."""
    rows = [one for one in rows if one.title in titles]
    told, found = [], []
    for fold in range(FOLDS):
        held = titles[fold::FOLDS]
        if not held:
            continue
        weights = fit_weights([one for one in rows if one.title not in held])
        for one in rows:
            if one.title in held:
                told.append(signs(one.found, one.columns @ weights))
                found.append(outcome(one, weights))
    found_, told_ = np.array(found), np.array(told)
    return fit_weights(rows), fit_outcomes(told_, found_, found_ > 0)


def cross_validate(rows: list[Row], prompt: Prompt) -> None:
    titles = sorted({one.title for one in rows})
    results = []
    for fold in range(FOLDS):
        held = titles[fold::FOLDS]
        if not held:
            continue
        weights, told = fit(rows, [title for title in titles if title not in held])
        for one in rows:
            if one.title in held:
                scores = one.columns @ weights
                logits = told @ signs(one.found, scores)
                chances = np.exp(logits - logits.max())
                chances /= chances.sum()
                best = int(scores.argmax())
                results.append((one.answerable, one.exact[best], one.f1[best], *chances))
    table = np.array(results, float)
    answerable, exact, f1, none, right, near = table[:, 0] > 0, table[:, 1], table[:, 2], *table[:, 3:6].T
    print(f"# {len(table)} questions, always 'none' {1 - answerable.mean():.4f}")
    print(f"# answerable only, always answered: EM {exact[answerable].mean():.4f}, F1 {f1[answerable].mean():.4f}")
    for counts in (0.0, 0.5, 1.0):
        answered = right + counts * near > none
        em, of = np.where(answered, exact, ~answerable).mean(), np.where(answered, f1, ~answerable).mean()
        accuracy = (answered == answerable).mean()
        print(
            f"# near_counts {counts}: {answered.mean():.3f} answered, EM {em:.4f}, F1 {of:.4f}, right on whether there "
            f"is an answer {accuracy:.4f}"
        )


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        print("Name the file of questions; nothing was run.")
        return 0
    prompt = load_file(PROMPT, "", Prompt)
    rows = read(Path(sys.argv[1]), prompt)
    cross_validate(rows, prompt)
    weights, told = fit(rows, sorted({one.title for one in rows}))
    table = weights[len(COLUMNS) :].reshape(len(prompt.types), len(FORMS))
    for name, line in zip(prompt.types, table, strict=True):
        print(f"{name} forms: {{" + ", ".join(f"{f}: {v:.1f}" for f, v in zip(FORMS, line, strict=True)) + "}")
    print("weights:")
    for name, value in zip(COLUMNS, weights, strict=False):
        print(f"  {name}: {value:.2f}")
    print("outcomes:")
    for name, line in zip(OUTCOMES, told, strict=True):
        print(f"  {name}: {{" + ", ".join(f"{s}: {v:.2f}" for s, v in zip(SIGNS, line, strict=True)) + "}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
