"""The model class: the constructor, the per-project cache, and what calls what."""

from typing import Any

_cache: dict[tuple[str | None, str], str] = {}


class LabelStudioMLBase:
    """Built for every request; ``setup`` is called by the constructor."""

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        self.label_config = label_config
        self.setup()

    def setup(self) -> None:
        """Made to be overridden."""

    def get(self, key: str) -> str | None:
        return _cache.get((self.project_id, key))

    def set(self, key: str, value: str) -> None:
        _cache[(self.project_id, key)] = value

    @property
    def model_version(self) -> str | None:
        return self.get("model_version")

    def predict(self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        raise NotImplementedError

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> Any:
        raise NotImplementedError
