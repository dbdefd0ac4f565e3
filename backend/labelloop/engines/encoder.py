"""The encoder engine: sentence-transformers models that place texts and labels in one space of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from labelloop.engines import Tokens, Vectors, engine, weights
from labelloop.engines.batching import CPU_BUDGET, GPU_BUDGET, LONGEST_WINDOW, OVERLAP, batches, window_starts
from labelloop.engines.offsets import locate, owners, whole
from labelloop.engines.recent import Recent
from labelloop.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Token = TypeVar("Token")


class Window(NamedTuple):
    """Tokens that are read together. ``ids``: with special ones. ``offsets``: (n_tokens, 2) of each its characters of
    the text, end exclusive; -1 where it stands for none."""

    ids: list[int]
    offsets: NDArray[np.int32]


class Encoder:
    """A warm sentence-transformers model.

    A text that is longer than the model reads is cut into windows of tokens that overlap by an eighth. Each window is
    embedded, and the text's vector is the mean of theirs, weighted by their tokens, and again of length 1 (Reimers and
    Gurevych 2019 pool tokens by their mean; this goes on with it one level up). Every token is read; nothing is cut.
    """

    def __init__(self, model: SentenceTransformer, revision: str = "") -> None:
        self._model, self.revision = model.eval(), revision
        self._tokenizer: Any = model.tokenizer
        self._prompt = model.prompts.get(model.default_prompt_name or "", "")
        config = getattr(model[0], "config", None)
        # RoBERTa's positions start at 2, and not every tokenizer knows the model's length: so two less are safe.
        bounds = (model.max_seq_length, getattr(config, "max_position_embeddings", LONGEST_WINDOW) - 2)
        self._window = min([LONGEST_WINDOW, *(int(bound) for bound in bounds if bound)])
        mask = self._tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        self._head = mask.index(0)
        self._tail = mask[::-1].index(0)
        self._budget = GPU_BUDGET if model.device.type in {"cuda", "mps"} else CPU_BUDGET
        self._tokens: Recent[str, NDArray[np.int32]] = Recent(128)
        self._labels: Recent[str, Vectors] = Recent(20_000)

    def rank(self, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> Vectors:
        """(n_texts, n_labels) cosine similarity; a label is the mean direction of its verbalizations.

        Vectors of verbalizations are kept, so labels cost nothing after their first use.

        Raises:
            ValueError: a label has no verbalization.
        """
        return self.against(self.embed(texts) if labels else np.zeros((len(texts), 0), np.float32), labels)

    def against(self, vectors: Vectors, labels: Sequence[Sequence[str]]) -> Vectors:
        """As ``rank``, of (n_texts, d) vectors that ``embed`` gave: memory wants them too, and a text is read once."""
        meanings = self.meanings(labels)
        if not len(vectors) or not labels:
            return np.zeros((len(vectors), len(labels)), np.float32)
        scores: Vectors = vectors @ meanings.T
        return scores

    def meanings(self, labels: Sequence[Sequence[str]]) -> Vectors:
        """(n_labels, d) the mean direction of each label's verbalizations, of length 1. Raises as ``rank``."""
        if any(not verbalizations for verbalizations in labels):
            raise ValueError("every label needs at least one verbalization")
        flat = [verbalization for verbalizations in labels for verbalization in verbalizations]
        kept = self._labels.get(flat, lambda new: list(self.embed(new)))
        if not labels:
            return self.embed([])
        starts = np.cumsum([0, *(len(verbalizations) for verbalizations in labels[:-1])])
        return _unit(np.add.reduceat(np.stack(kept), starts, axis=0))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n_texts, d) vectors of length 1. Memory does not grow with the length of a text but for its tokens."""
        windows: list[list[int]] = []
        owners: list[int] = []
        for owner, ids in enumerate(self._tokenize(texts)):
            cut = self._cut(ids.tolist())
            windows.extend(cut)
            owners += [owner] * len(cut)
        lengths = [len(window) for window in windows]
        sums: Vectors | None = None
        for batch in batches(lengths, self._budget):
            vectors = self._forward([windows[index] for index in batch])
            if sums is None:
                sums = np.zeros((len(texts), vectors.shape[1]), np.float32)
            weights = np.array([lengths[index] for index in batch], np.float32)[:, None]
            np.add.at(sums, [owners[index] for index in batch], _unit(vectors) * weights)
        if sums is None:
            return np.zeros((0, self._model.get_embedding_dimension() or 0), np.float32)
        return _unit(sums)

    def tokens(self, texts: Sequence[str], depth: float = 1.0) -> list[Tokens]:
        """Per text its tokens, with their characters in it and (n_tokens, d) vectors of a layer in context.

        Long texts are read in the windows of ``embed``; of a token that two windows read, the vector is that of the
        window whose middle is nearer. The result holds n_tokens x d floats, so many texts are better asked in parts.

        Args:
            depth: how far up the model, in (0, 1]: 1 is the last layer, 0.5 the middle one, which knows more of what
                kind of word a token is (Tenney et al. 2019) than the last, which was trained to be pooled.

        Raises:
            ModelError: the model's tokenizer does not tell where tokens stand.
        """
        located = locate(self._tokenizer, texts, self._prompt)
        windows = [window for text in located for window in self._cut(text.ids)]
        whose = [(owner, place) for owner, text in enumerate(located) for place in range(len(self._cut(text.ids)))]
        frame = self._head + self._tail
        states: dict[int, Vectors] = {}
        for batch in batches([len(window) for window in windows], self._budget):
            for index, vectors in zip(batch, self._contexts([windows[one] for one in batch], depth), strict=True):
                owner, place = whose[index]
                n_tokens = len(located[owner].ids)
                starts = self._starts(n_tokens)
                mine = np.flatnonzero(owners(starts, self._window - frame, n_tokens - frame) == place) + self._head
                its = states.setdefault(owner, np.zeros((n_tokens, vectors.shape[1]), np.float32))
                its[mine] = vectors[mine - starts[place]]
        return [Tokens(text.offsets, states[owner][text.kept]) for owner, text in enumerate(located)]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones included. About a hundredth of the cost of embedding it."""
        return [len(ids) for ids in self._tokenize(texts)]

    def token_ids(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Token ids of each text, special ones included, cut so that there are at most ``longest`` and no more than one
        window holds: what a text is trained by."""
        most = min(longest, self._window)
        each = [ids.tolist() for ids in self._tokenize(texts)]
        return [ids if len(ids) <= most else [*ids[: most - self._tail], *ids[len(ids) - self._tail :]] for ids in each]

    def token_windows(self, texts: Sequence[str], longest: int) -> list[list[Window]]:
        """Each text in windows of at most ``longest`` tokens: what passages are trained by. Raises as ``tokens``."""
        size = min(longest, self._window)
        made = []
        for text in locate(self._tokenizer, texts, self._prompt):
            offsets = np.full((len(text.ids), 2), -1, np.int32)
            offsets[text.kept] = text.offsets
            cut = self._cut(list(zip(text.ids, offsets.tolist(), strict=True)), size)
            made.append([Window([one for one, _ in its], np.array([at for _, at in its], np.int32)) for its in cut])
        return made

    @property
    def model(self) -> SentenceTransformer:
        """What computes: for training, on branches of it, and for engines that share its weights."""
        return self._model

    def beside(self, model: SentenceTransformer, revision: str) -> Encoder:
        """The engine of another model that reads as this one does: a branch of it."""
        return Encoder(model, revision)

    @property
    def budget(self) -> int:
        """Padded tokens of one forward pass."""
        return self._budget

    def windows(self, texts: Sequence[str]) -> list[int]:
        """Into how many windows each text is cut to be read whole."""
        return [len(self._starts(len(ids))) for ids in self._tokenize(texts)]

    def _tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        return self._tokens.get(texts, self._tokenize_new) if texts else []

    def _tokenize_new(self, texts: list[str]) -> list[NDArray[np.int32]]:
        # verbose=False: the tokenizer would warn of texts over the model's length, which we cut into windows ourselves.
        encoded = self._tokenizer([self._prompt + whole(text) for text in texts], truncation=False, verbose=False)
        return [np.asarray(ids, np.int32) for ids in encoded["input_ids"]]

    def _starts(self, n_tokens: int, window: int = 0) -> list[int]:
        frame = self._head + self._tail
        size = (window or self._window) - frame
        return window_starts(n_tokens - frame, size, size // OVERLAP)

    def _cut(self, ids: list[Token], window: int = 0) -> list[list[Token]]:
        starts = self._starts(len(ids), window)
        if len(starts) == 1:
            return [ids]
        end = len(ids) - self._tail
        head, body, tail = ids[: self._head], ids[self._head : end], ids[end:]
        size = (window or self._window) - len(head) - len(tail)
        return [[*head, *body[start : start + size], *tail] for start in starts]

    def _forward(self, windows: list[list[int]]) -> Vectors:
        with torch.inference_mode():
            vectors: Vectors = self._model(self._features(windows))["sentence_embedding"].float().cpu().numpy()
        return vectors

    def _contexts(self, windows: list[list[int]], depth: float) -> list[Vectors]:
        """Of each window (n_tokens, d) of one layer, special tokens included, padding not."""
        features = self._features(windows)
        with torch.inference_mode():
            if depth >= 1:
                states = self._model[0](dict(features))["token_embeddings"]
            else:
                hidden = self._model[0].auto_model(**features, output_hidden_states=True).hidden_states
                states = hidden[max(1, round(depth * (len(hidden) - 1)))]
        read = features["attention_mask"].bool()
        return [vectors[mask].float().cpu().numpy() for vectors, mask in zip(states, read, strict=True)]

    def _features(self, windows: list[list[int]]) -> dict[str, torch.Tensor]:
        padded = self._tokenizer.pad({"input_ids": windows}, return_tensors="pt")
        return {name: tensor.to(self._model.device) for name, tensor in padded.items()}


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    unit: Vectors = vectors / lengths
    return unit


@engine("encoder")
def load(model: str, revision: str, settings: Settings) -> Encoder:
    """Loads a sentence-transformers model, or any Hugging Face encoder with mean pooling, from safetensors only.

    Raises:
        ModelError: it is missing, needs code or pickles of its own, or is not the one of ``revision`` any more.
    """
    from sentence_transformers import SentenceTransformer

    folder = weights.folder(model, revision, settings)
    with weights.loading("a sentence-transformers or BERT-like model", model, settings):
        loaded = SentenceTransformer(
            str(folder),
            device=None if settings.device == "auto" else settings.device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
        return Encoder(loaded, revision)
