"""What a shared beginning saves: ranking with 8 demonstrations before every text, read once against read every time.

Run:  PYTHONPATH=backend python benchmarks/prefix.py [--texts N]
Own texts and demonstrations, the starter writer, and nothing kept from call to call; writes
benchmarks/results/prefix.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from labelloop.engines import load
from labelloop.engines.causal import Causal
from labelloop.engines.identity import identify
from labelloop.settings import Settings

RESULTS = Path(__file__).parent / "results"
LABELS = ("order", "delivery", "payment", "account")
DEMONSTRATIONS = (
    ("I would like to add two more chairs to what I bought this morning, if that is still possible.", "order"),
    ("The parcel was to be here on Monday, and the courier's page has said nothing new since then.", "delivery"),
    ("My card was charged twice for the same lamp; please send one of the amounts back.", "payment"),
    ("I cannot log in any more since I changed my e-mail address last week.", "account"),
    ("Can I still choose another colour for the sofa, or has it been packed already?", "order"),
    ("The driver left the box at my neighbour's door, in the rain, without ringing the bell.", "delivery"),
    ("Do you take bank transfers from abroad, and how long do they take to arrive?", "payment"),
    ("Please delete my profile and everything that you have stored about me.", "account"),
)
TEXTS = (
    "Please cancel the table that I bought.",
    "Where is my package?",
    "The refund has not arrived yet.",
    "How do I set a new password?",
    "I want to buy one more of the same shelf.",
    "It came a week late.",
    "Can I pay by invoice?",
    "My user name is wrong.",
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=32)
    asked = parser.parse_args()
    settings = Settings(writer="starter")
    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    revision = identify("starter", engine="causal")
    engine: Causal = load("causal", "starter", revision, settings)
    lead = "".join(f"Text: {text}\nCategory: {label}\n\n" for text, label in DEMONSTRATIONS) + "Text: "
    texts = [f"{TEXTS[i % len(TEXTS)]} My number is {100 + i}." for i in range(asked.texts)]
    labels = [[f"Category: ⟦{label}⟧"] for label in LABELS]
    engine.rank(texts[:2], labels)  # warm

    def timed(shares: bool) -> tuple[np.ndarray, float]:
        engine.shares = shares
        engine.forget()
        began = time.perf_counter()
        scores = engine.rank(texts, labels, lead)
        return scores, time.perf_counter() - began

    shared, none = [timed(True)], [timed(False)]
    shared.append(timed(True))
    none.append(timed(False))
    seconds = {"shared": min(s for _, s in shared), "none": min(s for _, s in none)}
    plain = engine.rank_plainly(texts[:4], labels, lead)
    report = {
        "setting": {
            "command": "PYTHONPATH=backend python " + " ".join(["benchmarks/prefix.py", *sys.argv[1:]]),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{torch.get_num_threads()} torch threads",
            "versions": {name: version(name) for name in ("torch", "transformers")},
            "model": revision,
        },
        "texts": len(texts),
        "lead_tokens": len(engine.tokens_of(lead)),
        "text_tokens": round(float(np.mean([len(engine.tokens_of(text)) for text in texts])), 1),
        "tasks_per_s": {name: round(len(texts) / its, 2) for name, its in seconds.items()},
        "ratio": round(seconds["none"] / seconds["shared"], 2),
        "max_difference": float(np.abs(shared[0][0] - none[0][0]).max()),
        "max_difference_from_plain_rows": float(np.abs(shared[0][0][:4] - plain).max()),
    }
    write(report)
    return 0


def write(report: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "prefix.json").write_text(json.dumps(report, indent=1) + "\n")
    s = report["setting"]
    lines = ["# A shared beginning against none", "", f"`{s['command']}`", ""]
    lines += [
        f"{s['date']}, {s['machine']}, {s['versions']}, {s['model']}, single precision.",
        "",
        f"{report['texts']} texts of {report['text_tokens']} tokens behind 8 demonstrations ({report['lead_tokens']}",
        f"tokens), {len(LABELS)} labels, nothing kept from call to call; the better of two runs each, in turns.",
        "",
        "| the demonstrations | tasks/s |",
        "|---|---|",
        f"| read once for all texts | {report['tasks_per_s']['shared']} |",
        f"| read with every text | {report['tasks_per_s']['none']} |",
        "",
        f"Ratio {report['ratio']}. Largest difference of a score: {report['max_difference']:.1e}; from rows that share",
        f"nothing at all, not even the text among its labels: {report['max_difference_from_plain_rows']:.1e}.",
    ]
    text = "\n".join(lines) + "\n"
    (RESULTS / "prefix.md").write_text(text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
