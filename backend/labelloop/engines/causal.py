"""The causal engine: language models that write word by word, and that say how likely given words are."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from labelloop.engines import Ask, Manner, Vectors, Written, engine, weights
from labelloop.engines import trees as trees_of
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET, batches, parts
from labelloop.engines.chat import Chat
from labelloop.engines.continuation import Continuations
from labelloop.engines.decoding import Decoder, replies
from labelloop.engines.grammar import Grammars
from labelloop.engines.prefix import LEAST, Ids, Prefixes, common
from labelloop.engines.trees import Tree, grow
from labelloop.errors import ItemError, ModelError
from labelloop.settings import Settings

log = logging.getLogger(__name__)

WHAT = "a causal language model that follows instructions, such as SmolLM2-Instruct"
_HELD = 4  # times the budget: tokens whose keys and values are held at once
_LOGITS = 1 << 26  # numbers that are computed over the vocabulary at once, 256 MB
_OTHER_HEADS = ("ForMaskedLM", "Classification", "ForQuestionAnswering", "ForPreTraining")
_FAR = 1 << 20  # tokenizers that know no limit give a huge number


class Causal:
    """A warm causal language model. Threads may share it: they take turns. ``shares``: whether what texts or asks
    begin with is read once; no answer depends on it."""

    def __init__(self, model: Any, tokenizer: Any, revision: str = "") -> None:
        self._model, self.revision = model, revision
        self._tokenizer = tokenizer
        self._budget = GPU_BUDGET if model.device.type in {"cuda", "mps"} else CPU_BUDGET
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or _FAR
        self._room = min(positions, tokenizer.model_max_length if tokenizer.model_max_length < _FAR else positions)
        # Trees have a mask of ours, which knows no sliding window, and padding behind a shared beginning would take the
        # place of tokens in it: both stay within one.
        self._reach = min(self._room, getattr(model.config.get_text_config(), "sliding_window", None) or self._room)
        self._chat = Chat(tokenizer, _ends(model, tokenizer))
        self._prefixes = Prefixes(model)
        pad = tokenizer.pad_token_id
        self._decoder = Decoder(model, self._chat, self._prefixes, self._chat.end if pad is None else pad)
        self._asking = threading.Lock()
        self._vocabulary = model.get_output_embeddings().weight.shape[0]
        self._grammars = Grammars(tokenizer, self._chat, self._vocabulary)
        self._nodes = max(64, _LOGITS // self._vocabulary)
        self._continuations = Continuations(tokenizer, self._chat, self._reach, self._nodes)
        self.token_counts = self._continuations.token_counts
        self.windows = self._continuations.windows
        self.spare = self._continuations.spare
        self.shares = True
        self._takes_trees = self._try_trees()

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]], lead: str = "") -> Vectors:
        """(n_texts, n_labels) mean log-probability of a label's words behind a text.

        Args:
            lead: what stands before every text: an instruction, demonstrations. It is read once, and kept for the next
                call.

        Raises:
            ValueError: a label has no verbalization.
            ModelError: the model has no token for its words, or they or the lead leave no room for a text.
        """
        return self._continuations.rank(texts, labels, lead, self._read)

    def rank_plainly(self, texts: Sequence[str], labels: Sequence[Sequence[str]], lead: str = "") -> Vectors:
        """The same, each label of each text in a row of its own: what ``rank`` is measured against."""
        return self._continuations.rank(texts, labels, lead, self._read_plainly)

    @property
    def model(self) -> Any:
        """What computes: for training, on branches of it, and for engines that share its weights."""
        return self._model

    @property
    def budget(self) -> int:
        """Padded tokens of one forward pass."""
        return self._budget

    def beside(self, model: Any, revision: str) -> Causal:
        """The engine of another model that reads as this one does: a branch of it."""
        return Causal(model, self._tokenizer, revision)

    def told(self, asks: Sequence[Ask], replies: Sequence[str]) -> list[tuple[Ids, Ids]]:
        """Per ask its tokens up to where the reply goes on, and those of the reply and of its end."""
        read = self._chat.read(asks)
        return [(one.ids, self._reply(reply)) for one, reply in zip(read, replies, strict=True)]

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of a plain text."""
        return self._chat.plain(text)

    def forget(self) -> None:
        """Drops what was kept from former calls."""
        self._prefixes.forget()

    def judge(self, asks: Sequence[Ask], replies: Sequence[Sequence[str]]) -> list[Vectors]:
        """Per ask (n_replies,) mean log-probability of the tokens of each reply and of the one that ends it.

        Raises:
            ItemError: an ask and one of its replies do not fit into the model's context.
        """
        if not asks:
            return []
        read = [one.ids for one in self._chat.read(asks)]
        told = [[self._reply(reply) for reply in its] for its in replies]
        self._check(max(map(len, read)), max((len(ids) for its in told for ids in its), default=0))
        shared = self._shared(asks, read, 0)
        rows, trees, owners = [], [], []
        for index, (ids, its) in enumerate(zip(read, told, strict=True)):
            for part in parts(its, len, self._nodes):
                rows.append(ids[shared:])
                trees.append(grow([((), reply) for reply in part]))
                owners.append(index)
        found: list[list[float]] = [[] for _ in asks]
        for owner, values in zip(owners, self._read(read[0][:shared], rows, trees), strict=True):
            found[owner] += [float(one.mean(dtype=np.float64)) for one in values]
        return [np.array(one, np.float32) for one in found]

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
            ItemError: an ask and ``manner.max_tokens`` do not fit into the model's context.
            ModelError: a schema is asked for and xgrammar is not installed, or does not take it.
            ValueError: no token or no reply is asked for.
        """
        if not asks:
            return []
        read = [one.ids for one in self._chat.read(asks)]
        if manner.max_tokens < 1 or manner.samples < 1:
            raise ValueError("a reply needs at least one token, and an ask one reply")
        self._check(max(map(len, read)), manner.max_tokens)
        shared = self._shared(asks, read, manner.max_tokens)
        prefix = read[0][:shared]
        guides = self._grammars.guides(manner.schema) if manner.schema else None
        each = [replies(ask, manner, guides) for ask in asks]
        for batch in self._batches([len(ids) - shared for ids in read], shared + manner.max_tokens, 1, manner.samples):
            with self._asking:
                rows = [read[index][shared:] for index in batch]
                self._decoder.run(prefix, rows, [each[index] for index in batch], manner)
        return [[reply.written() for reply in its] for its in each]

    def _reply(self, text: str) -> Ids:
        return (*self._chat.plain(text), self._chat.end)

    def _check(self, longest: int, reply: int) -> None:
        if longest + reply > self._room:
            raise ItemError(
                f"An ask of {longest} tokens and a reply of {reply} do not fit into the model's context of "
                f"{self._room}.",
                "Give shorter texts or fewer demonstrations, or choose a model that reads more at once.",
            )

    def _read(self, prefix: Ids, rows: Sequence[Ids], trees: Sequence[Tree]) -> list[list[Vectors]]:
        """What the trees behind the rows say, in batches."""
        if not rows:
            return []
        longest = max(len(row) + max(tree.depths, default=0) for row, tree in zip(rows, trees, strict=True))
        if not self._takes_trees or len(prefix) + longest > self._reach:
            return self._read_plainly(prefix, rows, trees)
        if len(prefix) < LEAST or not self.shares:
            prefix, rows = (), [(*prefix, *row) for row in rows]
        sizes = [len(row) + len(tree.tokens) for row, tree in zip(rows, trees, strict=True)]
        found: dict[int, list[Vectors]] = {}
        for batch in self._batches(sizes, len(prefix), max(len(tree.tokens) for tree in trees) + 1):
            with self._asking:
                its = trees_of.read(
                    self._model, self._prefixes, prefix, [rows[i] for i in batch], [trees[i] for i in batch]
                )
            found.update(zip(batch, its, strict=True))
        return [found[index] for index in range(len(rows))]

    def _read_plainly(self, prefix: Ids, rows: Sequence[Ids], trees: Sequence[Tree]) -> list[list[Vectors]]:
        with self._asking:
            return trees_of.read_plainly(self._model, [(*prefix, *row) for row in rows], trees)

    def _shared(self, asks: Sequence[Ask], read: Sequence[Ids], reply: int) -> int:
        """How many tokens all asks begin with; of one ask, those before its last message, as the next will be like it.
        Each keeps at least one of its own."""
        shared = common(read) if len(read) > 1 else self._chat.read(asks)[0].fixed
        shared = min(shared, min(map(len, read)) - 1)
        fits = max(map(len, read)) + reply <= self._reach
        return shared if shared >= LEAST and fits and self.shares and self._takes_trees else 0

    def _batches(self, lengths: Sequence[int], held: int, asked: int = 1, samples: int = 1) -> list[list[int]]:
        """Batches of rows whose forward pass, keys and values, and logits fit into memory.

        Args:
            lengths: tokens of each row.
            held: tokens of each row beside them whose keys and values are held.
            asked: places of each row whose logits are computed.
            samples: rows that each becomes.
        """
        found = []
        for batch in batches(lengths, self._budget):
            states = _HELD * self._budget // ((lengths[batch[0]] + held) * samples)
            logits = _LOGITS // (self._vocabulary * asked * samples)
            rows = max(1, min(states, logits)) if self._takes_trees else 1  # what takes no mask may take no padding
            found += [batch[start : start + rows] for start in range(0, len(batch), rows)]
        return found

    def _try_trees(self) -> bool:
        """Whether the model reads trees behind a shared beginning as it reads plain rows: some architectures take no
        mask of ours, or keep no keys and values."""
        a, b, c, d = (7 % self._vocabulary, 11 % self._vocabulary, 13 % self._vocabulary, 17 % self._vocabulary)
        tree = grow([((a,), (b, c)), ((a,), (b, d, c)), ((), (d,))])
        rows = [(a, b, c), (d,)]
        plain = trees_of.read_plainly(self._model, [(b, d, *row) for row in rows], [tree, tree])
        try:
            found = trees_of.read(self._model, self._prefixes, (b, d), rows, [tree, tree])
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, NotImplementedError) as error:
            log.info("the model reads every label by itself: %s: %s", type(error).__name__, error)
            return False
        finally:
            self._prefixes.forget()
        most = 1e-3 if self._model.dtype == torch.float32 else 0.5
        same = all(
            np.abs(one - other).max() < most
            for its, others in zip(found, plain, strict=True)
            for one, other in zip(its, others, strict=True)
        )
        if not same:
            log.info("the model reads every label by itself: together they come out otherwise")
        return same


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
    small = _quantized(settings.quantize, place)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with weights.loading(WHAT, model, settings, "causal"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a model's files are short of is no news to who asks it
        loaded, report = AutoModelForCausalLM.from_pretrained(
            str(files), dtype=_dtype(place), use_safetensors=True, output_loading_info=True, **small, **safe
        )
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:3])
            raise ValueError(f"its files have no weights for {missing}")
        if any(name.endswith(_OTHER_HEADS) for name in loaded.config.architectures or ()):
            raise ValueError(f"it is a {loaded.config.architectures[0]}, which was not trained to write")
        tokenizer = AutoTokenizer.from_pretrained(str(files), **safe)
        if not tokenizer.is_fast:
            raise ValueError("its tokenizer does not tell where tokens stand (there is no tokenizer.json)")
        return Causal(loaded.eval() if small else loaded.eval().to(place), tokenizer, revision)


def _quantized(bits: str, place: str) -> dict[str, Any]:
    """What makes transformers quantize the weights while it loads them (Dettmers et al. 2022, 2023).

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if not bits:
        return {}
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"LABELLOOP_QUANTIZE={bits} needs the package bitsandbytes, which is not installed.",
            "Run `pip install bitsandbytes`, or leave the setting empty.",
        )
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=_dtype(place),
        )
    return {"quantization_config": config, "device_map": {"": place}}


def _dtype(place: str) -> torch.dtype:
    if place == "cpu":
        return torch.float32
    return torch.float16 if place.startswith("mps") else torch.bfloat16
