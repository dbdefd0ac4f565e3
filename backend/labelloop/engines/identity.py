"""What pins a model's weights: one string that changes with them. Imports no torch, so the web process may ask."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TypeVar

from labelloop.engines import starter
from labelloop.errors import ModelError
from labelloop.settings import Beside, Serving, Settings

STARTER = "starter"
UNNAMED = "default"
"""A remote model that the settings do not name: the first that its server lists."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = 1 << 20
_SAMPLES = 16
_PIECE = _SMALL // _SAMPLES


def identify(model: str, revision: str = "", engine: str = "encoder", settings: Settings | None = None) -> str:
    """The revision of ``model``.

    The starter: its package and version. A folder: "sha256:" and 16 hex over its files' names, sizes and contents (of
    files over 1 MiB the beginning, the end and 14 places between, so that 10 GB cost no more than 10 MB; any training
    step moves all of them). It holds no path and no time, so copies on several machines agree. A Hugging Face id: the
    commit, as given, or of the copy in the local cache, or asked of the hub.

    Args:
        model: "starter", a folder, or a Hugging Face id.
        revision: commit, branch or tag of a Hugging Face id; "" is the copy in the cache, else the main branch.
        engine: whose model it is; each has its own starter. A remote one is known by its server and its name there.
        settings: where the server of a remote model stands.

    Raises:
        ModelError: there is no such model here, and the hub cannot be asked.
    """
    if engine == "remote":
        server = settings.remote_url if settings else ""
        return f"{server} {model}".strip()
    if model == STARTER:
        return starter.causal_revision() if engine == "causal" else starter.encoder_revision()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _hash_folder(folder)
    if folder.is_absolute() or model.startswith((".", "~")) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise ModelError(
            f"The model folder {model} does not exist.",
            f"Correct {setting_of(engine)} (LABELLOOP_FIELDS for single fields): a folder, a Hugging Face id such as "
            "thenlper/gte-small, or starter.",
        )
    if _COMMIT.fullmatch(revision):
        return revision
    return _cached_commit(model, revision) or _hub_commit(model, revision, engine)


def setting_of(engine: str) -> str:
    """The setting that names the model of an engine."""
    return "LABELLOOP_WRITER" if engine == "causal" else "LABELLOOP_ENCODER"


def pin(settings: Settings) -> Settings:
    """The settings with the commits of their models, where these are Hugging Face ids: asked once, before the web
    process starts, as the hub may take longer to answer than Label Studio waits for /setup. Raises as ``identify``."""
    pinned: dict[str, object] = {
        "fields": {name: _pinned(its, settings) for name, its in settings.fields.items()},
        "kinds": {name: _pinned(its, settings) for name, its in settings.kinds.items()},
    }
    if _on_a_hub(settings.encoder):
        pinned["encoder_revision"] = identify(settings.encoder, settings.encoder_revision)
    if _on_a_hub(settings.writer):
        pinned["writer_revision"] = identify(settings.writer, settings.writer_revision, "causal")
    return settings.model_copy(update=pinned)


Its = TypeVar("Its", Serving, Beside)


def _pinned(its: Its, settings: Settings) -> Its:
    changes: dict[str, object] = {}
    # what "auto" leaves to a server is no model of a hub; where it is one, the plan finds its commit
    remote = its.engine == "remote" or (its.engine == "auto" and bool(settings.remote_url))
    if not remote and _on_a_hub(its.model):
        changes["revision"] = identify(its.model, its.revision, "encoder" if its.engine == "auto" else its.engine)
    if isinstance(its, Serving) and its.beside:
        changes["beside"] = _pinned(its.beside, settings)
    return its.model_copy(update=changes)


def _on_a_hub(model: str) -> bool:
    return model not in {"", STARTER} and not Path(model).expanduser().is_dir()


def _hash_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(folder))):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _SMALL:
                digest.update(file.read())
                continue
            for sample in range(_SAMPLES):
                file.seek(sample * (size - _PIECE) // (_SAMPLES - 1))
                digest.update(file.read(_PIECE))
    return f"sha256:{digest.hexdigest()[:16]}"


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _cached_commit(model: str, revision: str) -> str | None:
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    ref = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=model, repo_type="model") / "refs" / (revision or "main")
    return ref.read_text().strip() if ref.is_file() else None


def _hub_commit(model: str, revision: str, engine: str) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(hf_hub_download(model, "config.json", revision=revision or None, etag_timeout=5)).parent.name
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"The model {model} is not in the local cache, and the Hugging Face hub did not give it: {error}",
            f"Check the id and the network, or set {setting_of(engine)} (LABELLOOP_FIELDS for single fields) to a "
            "folder with a copy of it, or to starter.",
        ) from error
