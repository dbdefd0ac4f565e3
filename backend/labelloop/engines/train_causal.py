"""Training an adapter of a causal model from a file, on as many GPUs or machines as ``accelerate launch`` is told of.

    accelerate launch -m labelloop.engines.train_causal lessons.jsonl --model Qwen/Qwen3-0.6B --out adapters

Each line: {"messages": [["user", "..."]], "begun": "", "reply": "..."}; "left_out": true for those by which the epoch
is chosen. Prints the folder of the adapter, which ``engines.adapted`` reads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from labelloop.engines import Ask, adapter_files, load
from labelloop.engines.causal_training import Course, Lesson, Recipe
from labelloop.engines.identity import identify
from labelloop.settings import Settings


def main(given: Sequence[str] | None = None) -> int:
    """Returns 1 where no epoch made what was left out likelier: then nothing is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", type=Path)
    parser.add_argument("--model", default="starter", help="a folder, or a Hugging Face id")
    parser.add_argument("--out", type=Path, required=True, help="the folder that the adapter's folder is made in")
    parser.add_argument("--recipe", default="{}", help='changes to the recipe, as JSON: {"rate": 1e-4}')
    told = parser.parse_args(given)
    rows = [json.loads(line) for line in told.lessons.read_text(encoding="utf-8").splitlines() if line.strip()]
    rank = os.environ.get("LOCAL_RANK")
    settings = Settings(device=f"cuda:{rank}") if rank and _gpus() else Settings()
    recipe = Recipe.model_validate_json(told.recipe)
    revision = identify(told.model, engine="causal")
    causal = load("causal", told.model, revision, settings)
    asks = [Ask(tuple((role, text) for role, text in one["messages"]), one.get("begun", "")) for one in rows]
    course = Course(causal, [Lesson(ask, one["reply"]) for ask, one in zip(asks, rows, strict=True)], recipe)
    out = [place for place, one in enumerate(rows) if one.get("left_out") and course.fits[place]]
    learned = [place for place, fits in enumerate(course.fits) if fits and not rows[place].get("left_out")]
    made = course.train(learned, out)
    if not made.weights:
        sys.stderr.write(f"No epoch made what was left out likelier (nats a token: {made.losses}).\n")
        return 1
    about = adapter_files.About(
        engine="causal",
        method=recipe.method,
        base=revision,
        sizes=recipe.sizes,
        trained={"losses": list(made.losses), "epoch": made.epoch, "lessons": made.lessons},
    )
    folder = adapter_files.save(about, made.weights, told.out)  # equal in all processes, and written once
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(f"{folder}\n")
    return 0


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


if __name__ == "__main__":
    raise SystemExit(main())
