"""A released prompt is never edited: its hash is part of versions that serve."""

import hashlib
from pathlib import Path

from labelloop.prompting import RELEASED, released

PROMPTS = Path(__file__).parents[1] / "prompts"


def test_every_shipped_prompt_is_listed_and_none_was_edited() -> None:
    there = {
        str(path.relative_to(PROMPTS).with_suffix("")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in PROMPTS.glob("*/*.yaml")
    }
    listed = released()
    missing = sorted(there.keys() - listed.keys())
    assert not missing, f"new prompts: cd prompts && sha256sum {' '.join(f'{m}.yaml' for m in missing)} >> {RELEASED}"
    assert listed.keys() == there.keys(), "a released prompt is gone: versions that were made with it cannot serve"
    edited = sorted(name for name in there if there[name] != listed[name])
    assert not edited, f"{edited} were edited after their release: bring them back, and copy them to the next number"
