"""Stands in for the package gliner, which cannot be installed beside our transformers: what our engine uses of it.

It marks every word that begins like a label ("Pers..." for "person"), with a score that the word's length sets, and as
the real one does it drops the words behind ``max_len`` and gives characters of each text.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import AutoTokenizer

WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


class GLiNER:
    """``asked``: (texts, labels) of each call, for tests to look at."""

    device = "cpu"

    def __init__(self, folder: Path) -> None:
        described = json.loads((folder / "gliner_config.json").read_text())
        body = SimpleNamespace(**described["encoder_config"])
        self.config = SimpleNamespace(max_len=described["max_len"], ent_token="<<ENT>>", encoder_config=body)
        splitter = lambda text: ((match[0], match.start(), match.end()) for match in WORD.finditer(text))  # noqa: E731
        self.data_processor = SimpleNamespace(
            words_splitter=splitter, transformer_tokenizer=AutoTokenizer.from_pretrained(folder)
        )
        self.asked: list[tuple[list[str], list[str]]] = []

    @classmethod
    def from_pretrained(cls, folder: str, local_files_only: bool, map_location: str) -> "GLiNER":
        assert local_files_only and map_location == "cpu"
        return cls(Path(folder))

    def inference(
        self, texts: list[str], labels: list[str], flat_ner: bool, threshold: float, multi_label: bool, batch_size: int
    ) -> list[list[dict[str, Any]]]:
        assert flat_ner and not multi_label and batch_size == len(texts)
        self.asked.append((texts, labels))
        return [
            [
                {"start": match.start(), "end": match.end(), "label": label, "score": score, "text": match[0]}
                for match in list(WORD.finditer(text))[: self.config.max_len]
                for label in labels
                if match[0].lower().startswith(label[:4].lower()) and (score := len(match[0]) / 20) >= threshold
            ]
            for text in texts
        ]
