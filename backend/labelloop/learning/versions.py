"""Which version serves a connection: follows the label config, the engine and the prompts, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import RequestError, SettingsError
from labelloop.learning.store import Connection, Store, Version
from labelloop.settings import Direction, Settings
from labelloop.studio.directions import directed, read_extra
from labelloop.studio.schema import read_config
from labelloop.tasks import make_bundle
from labelloop.words import Bundle, FieldPlan

log = logging.getLogger(__name__)


def settings_for(settings: Settings, directions: Mapping[str, Any]) -> Settings:
    """The settings with a connection's own directions in ``fields``, as its project's owner gave them."""
    return directed(settings, {name: Direction.model_validate(told) for name, told in directions.items()})


def direct(
    store: Store, connection: Connection, label_config: str, extra_params: Any, settings: Settings
) -> Connection:
    """The connection with the directions of its extra params, which are stored with it.

    Raises:
        RequestError: they are wrong, or no version can be made with them; says what of them. Nothing is stored then.
        ConfigError: the label config cannot be read.
    """
    directions = as_stored(read_extra(extra_params))
    if directions == connection.directions:
        return connection
    try:
        its = settings_for(settings, directions)
        make_bundle(read_config(label_config, its.fields).fields, its)
    except SettingsError as error:
        make_bundle(read_config(label_config, settings.fields).fields, settings)  # unless the operator's are wrong
        raise RequestError(f"The extra params cannot be served: {error.message}", error.remedy) from error
    log.info("connection %d: directions for %s", connection.id, ", ".join(directions) or "no field any more")
    return store.update_connection(connection.id, directions=directions)


def as_stored(directions: Mapping[str, Direction]) -> dict[str, Any]:
    """Directions as a connection keeps them: what they say, and nothing of what they leave open."""
    return {name: told.model_dump(mode="json", exclude_defaults=True) for name, told in directions.items()}


def version_for(store: Store, connection: Connection, label_config: str, settings: Settings) -> Version:
    """The version that serves ``connection`` under this label config and its directions; makes a new one only where the
    bundle changed.

    A field that is planned as before keeps its calibration, so a frozen prior survives a change of another field; what
    was trained for it also survives a change of its labels (``keep``).

    Raises:
        ConfigError: the label config cannot be read.
        SettingsError: a field cannot be served as the settings or the directions want it.
    """
    settings = settings_for(settings, connection.directions)
    schema = read_config(label_config, settings.fields)
    champion = store.champion(connection.id)
    bundle = make_bundle(schema.fields, settings)
    if champion:
        former = [champion.bundle]
        if keep(bundle, former) != champion.bundle:  # a field may be back that was gone for a while
            former += _served(store, connection.id)
        bundle = keep(bundle, former)
    if connection.label_config != label_config:
        store.update_connection(connection.id, label_config=label_config)
    if champion and champion.bundle == bundle and champion.skipped == schema.skipped:
        return champion
    version = store.serve(connection.id, bundle, schema.skipped)
    for name, reason in schema.skipped.items():
        log.info("connection %d: control %s is left to people: %s", connection.id, name, reason)
    for note in schema.notes:
        log.warning("connection %d: %s", connection.id, note)
    log.info("connection %d is served by %s", connection.id, version.name)
    return version


def keep(bundle: Bundle, former: Sequence[Bundle]) -> Bundle:
    """``bundle`` with what is known of its plans: the calibration of the first plan that is otherwise the same, and the
    adapter of the first that it ``goes_on`` for. ``former``: the latest first."""
    plans = [plan for one in former for plan in one.plans]

    def kept(plan: FieldPlan) -> FieldPlan:
        same = next((one for one in plans if _asked(one) == _asked(plan)), plan)
        trained = next((one for one in plans if goes_on(one, plan)), plan)
        return plan.model_copy(update={"calibration": same.calibration, "adapter": trained.adapter})

    return Bundle(plans=tuple(kept(plan) for plan in bundle.plans))


def goes_on(former: FieldPlan, plan: FieldPlan) -> bool:
    """Whether what was trained for a field as it was planned before serves it as it is planned now.

    It does for the same control over the same texts by the same model and prompt, while there are labels, by today's
    names, that it may have been taught: two to choose between, or one where each is chosen by itself. What a step of a
    scale means depends on the others.
    """
    if _learned_by(former) != _learned_by(plan):
        return False
    then = {plan.field.today(label.path) for label in former.field.labels}
    now = {label.path for label in plan.field.labels}
    if then == now or plan.field.ordinal:
        return then == now
    return len(then & now) >= (1 if plan.field.multiple or plan.field.structured else 2)


def _learned_by(plan: FieldPlan) -> str:
    about: dict[str, Any] = {"labels": (), "formerly": (), "conditions": (), "question": ""}
    field = plan.field.model_copy(update=about)
    without: dict[str, Any] = {"calibration": {}, "adapter": None, "precision": None, "field": field}
    return plan.model_copy(update=without).model_dump_json()


def _asked(plan: FieldPlan) -> str:
    """What settings and label config say of a plan, without what was found out or trained since."""
    return plan.model_copy(update={"calibration": {}, "adapter": None}).model_dump_json()


def _served(store: Store, connection_id: int) -> list[Bundle]:
    never = datetime.min.replace(tzinfo=UTC)
    known = sorted(store.versions(connection_id), key=lambda one: one.served_at or never, reverse=True)
    return [one.bundle for one in known]


def version_named(store: Store, connection: Connection, name: str) -> Version:
    """The version of this name, or number ("v3-1a2b3c4d", "v3", "3").

    Raises:
        RequestError: the connection has none such; says which it has.
    """
    known = store.versions(connection.id)
    wanted = name.strip().removeprefix("v")
    for one in known:
        if wanted in (str(one.number), one.name.removeprefix("v")):
            return one
    names = ", ".join(one.name for one in known[-10:]) or "none"
    raise RequestError(f"There is no version '{name}'.", f"Known: {names}. `labelloop versions` shows them all.")


def lasts(connection: Connection, version: Version, settings: Settings) -> bool:
    """Whether a version would go on serving: one that was made of another label config, or with other engines, prompts
    or directions than today's, gives way to what these make at Label Studio's next /setup."""
    settings = settings_for(settings, connection.directions)
    today = make_bundle(read_config(connection.label_config, settings.fields).fields, settings)
    return {*map(_asked, version.bundle.plans)} == {*map(_asked, today.plans)}


def serve_plan(store: Store, connection_id: int, former: FieldPlan, plan: FieldPlan) -> Version | None:
    """The version that serves with this plan in the place of the former one, whatever else of it has changed; None
    where the former one serves no more: what does has not been compared with this one."""
    champion = store.champion(connection_id)
    if champion is None or former not in champion.bundle.plans:
        return None
    plans = tuple(plan if one == former else one for one in champion.bundle.plans)
    return store.serve(connection_id, Bundle(plans=plans), champion.skipped)


def put_back(store: Store, connection: Connection, settings: Settings) -> tuple[Version, Version]:
    """Serves the last version that the champion came from and that would last; (the former champion, what serves now).

    Raises:
        RequestError: there is no champion, or it came from none such.
    """
    champion = store.champion(connection.id)
    known = {one.id: one for one in store.versions(connection.id)}
    parent = known.get(champion.parent_id or 0) if champion else None
    while parent is not None and not lasts(connection, parent, settings):
        parent = known.get(parent.parent_id or 0)
    if champion is None or parent is None:
        raise RequestError(
            "There is no former version to go back to.",
            "`labelloop versions` shows the known ones; `promote` takes those that would last.",
        )
    return champion, store.serve_again(parent.id)
