"""Which engine serves a field: by the field's own setting, its kind's, that of all fields, or the rule of "auto"."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.engines.identity import UNNAMED
from labelloop.errors import SettingsError
from labelloop.settings import EngineName, FieldSetting, Serving, Settings
from labelloop.words import WRITTEN, Field


def engine_of(field: Field, settings: Settings, serving: Sequence[EngineName]) -> FieldSetting:
    """What the settings say of the field, always with an engine and a model.

    The first that names an engine or a model decides: ``fields.<name>``, ``kinds.<kind>``, and ``fields."*"`` where
    that engine serves the kind. A second engine is decided alike, by the first that names one. Else "auto" chooses:
    where something is written, the remote engine if there is a server, else the causal one; everywhere else the first
    that serves the kind, which is the encoder.

    Args:
        serving: the engines that serve the field's kind, the usual one first.

    Raises:
        SettingsError: a setting of the field or its kind names an engine that cannot serve it.
    """
    own = settings.fields.get(field.name) or FieldSetting()
    kind = settings.kinds.get(field.kind) or Serving()  # type: ignore[call-overload]
    general: Serving = settings.fields.get("*") or FieldSetting()
    _check(own, f"fields gives the field {field.name!r}", field, serving)
    _check(kind, f"kinds gives fields such as {field.name!r}", field, serving)
    if general.engine == "auto" and general.model:
        general = general.model_copy(update={"engine": "encoder"})
    if general.engine not in {"auto", *serving}:
        general = Serving()
    if general.beside and (field.structured or general.beside.engine not in serving):
        general = general.model_copy(update={"beside": None})
    levels = (own, kind, general)
    chosen = next((its for its in levels if its.engine != "auto" or its.model), Serving())
    engine = _auto(field, settings, serving) if chosen.engine == "auto" else chosen.engine
    model, revision = (chosen.model, chosen.revision) if chosen.model else usual_model(engine, settings)
    beside = next((its.beside for its in levels if its.beside), None)
    return own.model_copy(update={"engine": engine, "model": model, "revision": revision, "beside": beside})


def precision_of(field: Field, settings: Settings) -> float | None:
    """The precision that the settings wish of the field's suggestions: its own, else that of ``fields."*"`` where its
    kind can have one.

    Raises:
        SettingsError: the field has one of its own, and neither chooses labels nor marks spans.
    """
    own, general = (settings.fields.get(name) or FieldSetting() for name in (field.name, "*"))
    if field.kind in {"classification", "entities"}:
        return general.precision if own.precision is None else own.precision
    if own.precision is not None:
        raise SettingsError(
            f"The setting fields wishes a precision of the field {field.name!r}, which is of kind {field.kind}; only "
            "controls that choose labels or mark entities can have one.",
            f"Remove fields.{field.name}.precision.",
        )
    return None


def usual_model(engine: str, settings: Settings) -> tuple[str, str]:
    """(model, revision) of an engine that has none of its own."""
    models = {
        "encoder": (settings.encoder, settings.encoder_revision),
        "causal": (settings.writer, settings.writer_revision),
        "remote": (settings.remote_model or UNNAMED, ""),
    }
    return models[engine]


def _auto(field: Field, settings: Settings, serving: Sequence[EngineName]) -> EngineName:
    if field.kind in WRITTEN and settings.remote_url and "remote" in serving:
        return "remote"
    return serving[0]


def _check(its: Serving, what: str, field: Field, serving: Sequence[EngineName]) -> None:
    if its.engine not in {"auto", *serving}:
        _refuse(what, its.engine, field, serving)
    if its.beside and (field.structured or its.beside.engine not in serving):
        if field.structured:
            raise SettingsError(
                f"The setting {what} a second engine, which serves only where labels are chosen; it is of kind "
                f"{field.kind}.",
                "Remove `beside` there.",
            )
        _refuse(what, its.beside.engine, field, serving)


def _refuse(what: str, engine: str, field: Field, serving: Sequence[EngineName]) -> None:
    raise SettingsError(
        f"The setting {what} the engine {engine}, which cannot serve a field of kind {field.kind}.",
        f"In LABELLOOP_{what.split()[0].upper()} or labelloop.toml, choose one of: {', '.join(serving)}.",
    )
