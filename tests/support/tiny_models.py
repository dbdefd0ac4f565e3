"""Small transformers models, made and trained in the test: real files, real forward passes, a second to make."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.15,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def wordpiece(texts: Sequence[str], vocabulary: int = 300) -> PreTrainedTokenizerFast:
    """A BERT-like tokenizer, with token types and ``[CLS] a [SEP] b [SEP]``."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{role}_token": name for role, name in names.items()},
    )


def byte_bpe(texts: Sequence[str], vocabulary: int = 400) -> PreTrainedTokenizerFast:
    """A RoBERTa-like tokenizer, without token types and with ``<s> a </s></s> b </s>``."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{role}_token": name for role, name in names.items()},
    )


def build(kind: str, head: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, **changes: Any) -> Any:
    """A random model, e.g. ``build("Bert", "ForMaskedLM", ...)``."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(
        **SIZES, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **changes
    )
    return getattr(transformers, f"{kind}{head}")(config).eval()


def causal(kind: str = "Llama", chat: str = CHAT, **changes: Any) -> tuple[Any, PreTrainedTokenizerFast]:
    """A random causal model and its tokenizer, whose vocabulary is about bytes."""
    tokenizer = byte_bpe(["the weather is about sports and business, it was good or bad"] * 3, 300)
    tokenizer.chat_template = chat or None
    model = build(kind, "ForCausalLM", tokenizer, eos_token_id=tokenizer.eos_token_id, bos_token_id=0, **changes)
    return model, tokenizer


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> str:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def train_masks(
    model: Any, tokenizer: PreTrainedTokenizerFast, sentences: Sequence[tuple[str, str]], steps: int
) -> None:
    """Teaches a masked model to fill in the second of each pair, words of one or several tokens, behind the first."""
    rows, targets = [], []
    for sentence, words in sentences:
        before, _, after = sentence.partition("___")
        ids = tokenizer(f"{before}{words}{after}", return_offsets_mapping=True)
        span = (len(before), len(before) + len(words))
        inside = [left < span[1] and right > span[0] for left, right in ids["offset_mapping"]]
        for hidden in range(1, sum(inside) + 1):  # the last of them, as they are read from left to right
            masked = [index for index, its in enumerate(inside) if its][-hidden:]
            rows.append([tokenizer.mask_token_id if i in masked else one for i, one in enumerate(ids["input_ids"])])
            targets.append([one if i == masked[0] else -100 for i, one in enumerate(ids["input_ids"])])
    features = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    width = features["input_ids"].shape[1]
    labels = torch.tensor([target + [-100] * (width - len(target)) for target in targets])
    _fit(model, lambda: model(**features, labels=labels).loss, steps)


def train_pairs(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[tuple[str, str]],
    targets: Sequence[float],
    steps: int,
) -> None:
    """Teaches a sequence-classification model the class of each pair, or where it has one output the number."""
    firsts, seconds = zip(*pairs, strict=True)
    features = tokenizer(list(firsts), list(seconds), padding=True, return_tensors="pt")
    one = model.config.num_labels == 1
    labels = torch.tensor(targets, dtype=torch.float if one else torch.long)
    _fit(model, lambda: model(**features, labels=labels).loss, steps)


def _fit(model: Any, loss: Any, steps: int) -> None:
    random.seed(0)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    model.eval()
