"""What builds the package's app: here it only shows which model it was given."""

from typing import Any


def init_app(model_class: Any, basic_auth_user: str | None = None, basic_auth_pass: str | None = None) -> Any:
    return {"model_class": model_class}
