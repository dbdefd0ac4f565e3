"""Where a model's files come from and what may be read of them: the rules that every engine loads by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelloop.engines import starter, unpacked
from labelloop.engines.identity import STARTER, identify, setting_of
from labelloop.errors import ModelError
from labelloop.settings import Settings

FILES = ["*.json", "*.txt", "*.safetensors", "*.model", "*.jinja"]  # no pickles and no code


def folder(model: str, revision: str, settings: Settings, engine: str = "encoder") -> Path:
    """The folder of a model's files, fetched from the hub where it is not here yet.

    Args:
        model: "starter", a folder, or a Hugging Face id.
        revision: what ``identify`` said of it when the plan was made; "" for whatever it is now.
        engine: whose model it is. That of "causal" may be a single GGUF file, which is unpacked.

    Raises:
        ModelError: it is missing, is not the one of ``revision`` any more, or has only pickled weights.
    """
    if model == STARTER:
        local = starter.causal_gguf().parent if engine == "causal" else starter.encoder_folder()
    else:
        local = Path(model).expanduser()
    if local.is_dir():
        now = identify(model, engine=engine)
        if revision and now != revision:
            raise ModelError(
                f"The model {model} is now {now}, but this version was made with {revision}.",
                "Bring the old model back, or run `labelloop connect` again: it makes a version with the new one.",
            )
        found = local
    else:
        found = _download(model, revision or identify(model, engine=engine), engine)
    if engine == "causal" and (gguf := unpacked.only_gguf(found)):
        name = unpacked.starter_name() if model == STARTER else f"gguf-{identify(model, engine=engine)[-16:]}"
        return unpacked.unpack(gguf, name, settings)
    for pickled in found.rglob("pytorch_model*.bin"):
        if not any(pickled.parent.glob("*.safetensors")):
            raise ModelError(
                f"The model {model} has only pickled weights ({pickled.name}); reading them may run any code.",
                "Choose a model with safetensors, or convert it: load it where you trust it and save it again.",
            )
    return found


@contextmanager
def loading(what: str, model: str, settings: Settings, engine: str = "encoder") -> Iterator[None]:
    """Tells what goes wrong inside as a ModelError. ``what``: what kind of model is needed, in words."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(
            f"The model {model} cannot be loaded on device {settings.device!r}: {first}",
            f"Choose {what} with safetensors and no code of its own ({setting_of(engine)}; LABELLOOP_FIELDS for single "
            "fields), and a device that this machine has (LABELLOOP_DEVICE).",
        ) from error


def device(settings: Settings) -> str:
    """Where a model is to lie: as set, else the GPU that torch finds, else the CPU."""
    import torch

    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def load_with_head(head: Any, model: str, revision: str, settings: Settings, what: str) -> tuple[Any, Any]:
    """A transformers model with one of its heads, ready to be asked, and its tokenizer.

    Args:
        head: the class that reads both, such as ``AutoModelForMaskedLM``.
        what: what kind of model is needed, in words.

    Raises:
        ModelError: as ``folder`` and ``loading``; or the files have no weights for the head, which would be random.
    """
    import torch
    from transformers import AutoTokenizer

    files, place = folder(model, revision, settings), device(settings)
    with loading(what, model, settings):
        loaded, report = head.from_pretrained(
            str(files),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32 if place == "cpu" else "auto",
        )
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:3])
            raise ValueError(f"its files have no weights for {missing}")
        tokenizer = AutoTokenizer.from_pretrained(str(files), local_files_only=True, trust_remote_code=False)
        if not tokenizer.is_fast:
            raise ValueError("its tokenizer does not tell where tokens stand (there is no tokenizer.json)")
        if tokenizer.pad_token_id is None:
            raise ValueError("its tokenizer has no padding token, so texts cannot be read together")
        if loaded.config.pad_token_id is None:  # models that were made of generating ones look for it
            loaded.config.pad_token_id = tokenizer.pad_token_id
        tokenizer.padding_side = "right"
        return loaded.eval().to(place), tokenizer


def _download(model: str, commit: str, engine: str) -> Path:
    """The folder of the cached copy, fetched where it is missing or has no weights yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(model, revision=commit, local_files_only=True))
        if any(cached.glob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        pass  # nothing of it is here: fetched below
    try:
        return Path(snapshot_download(model, revision=commit, allow_patterns=FILES))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"The model {model} at {commit} is not in the local cache and cannot be downloaded: {error}",
            f"Check the network, or set {setting_of(engine)} (LABELLOOP_FIELDS for single fields) to a folder with a "
            "copy of the model, or to starter.",
        ) from error
