"""The causal engine: language models that write word by word, and that say how likely given words are."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from labelloop.engines import Ask, Manner, Written, engine, weights
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET, batches
from labelloop.engines.chat import Chat
from labelloop.engines.decoding import Decoder, replies
from labelloop.engines.prefix import LEAST, Prefixes, common
from labelloop.errors import ModelError
from labelloop.settings import Settings

WHAT = "a causal language model that follows instructions, such as SmolLM2-Instruct"
_HELD = 4  # times the budget: tokens whose keys and values are held at once
_FAR = 1 << 20  # tokenizers that know no limit give a huge number


class Causal:
    """A warm causal language model. Threads may share it: they take turns."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._budget = GPU_BUDGET if model.device.type in {"cuda", "mps"} else CPU_BUDGET
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or _FAR
        self._room = min(positions, tokenizer.model_max_length if tokenizer.model_max_length < _FAR else positions)
        self._chat = Chat(tokenizer, _ends(model, tokenizer))
        self._prefixes = Prefixes(model)
        pad = tokenizer.pad_token_id
        self._decoder = Decoder(model, self._chat, self._prefixes, self._chat.end if pad is None else pad)
        self._asking = threading.Lock()

    @property
    def room(self) -> int:
        """Most tokens of an ask and its reply together."""
        return self._room

    def sizes(self, asks: Sequence[Ask]) -> list[int]:
        """Tokens of each ask in the model's chat template."""
        return [len(read.ids) for read in self._chat.read(asks)]

    def write(self, asks: Sequence[Ask], manner: Manner) -> list[list[Written]]:
        """Per ask ``manner.samples`` candidates; no reply depends on other asks, but in its rounding.

        What all asks begin with (instructions, demonstrations) is read once, and kept for the next call.

        Raises:
            ModelError: an ask and ``manner.max_tokens`` do not fit into the model's context; or a schema is asked for
                and xgrammar is not installed, or does not take it.
        """
        if not asks:
            return []
        read = [one.ids for one in self._chat.read(asks)]
        longest = max(map(len, read))
        if longest + manner.max_tokens > self._room:
            raise ModelError(
                f"An ask of {longest} tokens and a reply of {manner.max_tokens} do not fit into the model's context of "
                f"{self._room}.",
                "Give shorter texts or fewer demonstrations, or choose a model that reads more at once.",
            )
        shared = self._shared(asks, read)
        prefix = read[0][:shared]
        each = [replies(ask, manner, None) for ask in asks]
        for batch in self._batches([len(ids) - shared for ids in read], shared + manner.max_tokens, manner.samples):
            with self._asking:
                rows = [read[index][shared:] for index in batch]
                self._decoder.run(prefix, rows, [each[index] for index in batch], manner)
        return [[reply.written() for reply in its] for its in each]

    def _shared(self, asks: Sequence[Ask], read: Sequence[tuple[int, ...]]) -> int:
        """How many tokens all asks begin with; of one ask, those before its last message, as the next will be like it.
        Each keeps at least one of its own."""
        shared = common(read) if len(read) > 1 else self._chat.read(asks)[0].fixed
        shared = min(shared, min(map(len, read)) - 1)
        return shared if shared >= LEAST else 0

    def _batches(self, lengths: Sequence[int], held: int, samples: int) -> list[list[int]]:
        """Batches of rows whose forward pass and whose keys and values fit. ``held``: tokens of each beside its own."""
        found = []
        for batch in batches(lengths, self._budget):
            rows = max(1, _HELD * self._budget // ((lengths[batch[0]] + held) * samples))
            found += [batch[start : start + rows] for start in range(0, len(batch), rows)]
        return found


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply, by what the model's files say."""
    told = [getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id]
    return frozenset(token for one in told if one is not None for token in (one if isinstance(one, list) else [one]))


@engine("causal")
def load(model: str, revision: str, settings: Settings) -> Causal:
    """Loads any Hugging Face causal model: in single precision on a CPU, in half of it elsewhere.

    Raises:
        ModelError: it is missing, of another kind, needs code or pickles of its own, or is not the one of ``revision``.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files, place = weights.folder(model, revision, settings, "causal"), weights.device(settings)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with weights.loading(WHAT, model, settings, "causal"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a model's files are short of is no news to who asks it
        loaded, report = AutoModelForCausalLM.from_pretrained(
            str(files), dtype=_dtype(place), use_safetensors=True, output_loading_info=True, **safe
        )
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:3])
            raise ValueError(f"its files have no weights for {missing}")
        tokenizer = AutoTokenizer.from_pretrained(str(files), **safe)
        if not tokenizer.is_fast:
            raise ValueError("its tokenizer does not tell where tokens stand (there is no tokenizer.json)")
        return Causal(loaded.eval().to(place), tokenizer)


def _dtype(place: str) -> torch.dtype:
    if place == "cpu":
        return torch.float32
    return torch.float16 if place.startswith("mps") else torch.bfloat16
