"""Which version serves a connection: follows the label config, the engine and the prompts, and nothing else."""

from __future__ import annotations

import logging

from labelloop.learning.store import Connection, Store, Version
from labelloop.settings import Settings
from labelloop.studio.schema import read_config
from labelloop.tasks import make_bundle
from labelloop.words import Bundle

log = logging.getLogger(__name__)


def version_for(store: Store, connection: Connection, label_config: str, settings: Settings) -> Version:
    """The version that serves ``connection`` under this label config; makes a new one only where the bundle changed.

    A field that is planned as before keeps its calibration, so a frozen prior survives a change of another field.

    Raises:
        ConfigError: the label config cannot be read.
    """
    schema = read_config(label_config)
    champion = store.champion(connection.id)
    bundle = make_bundle(schema.fields, settings)
    if champion:
        bundle = keep_calibrations(bundle, champion.bundle)
    if connection.label_config != label_config:
        store.update_connection(connection.id, label_config=label_config)
    if champion and champion.bundle == bundle and champion.skipped == schema.skipped:
        return champion
    version = store.serve(connection.id, bundle, schema.skipped)
    for name, reason in schema.skipped.items():
        log.info("connection %d: control %s is left to people: %s", connection.id, name, reason)
    log.info("connection %d is served by %s", connection.id, version.name)
    return version


def keep_calibrations(bundle: Bundle, former: Bundle) -> Bundle:
    """``bundle`` with the calibration of each plan of ``former`` that is otherwise the same."""
    known = {plan.model_copy(update={"calibration": {}}).model_dump_json(): plan for plan in former.plans}
    return Bundle(
        plans=tuple(
            known.get(plan.model_copy(update={"calibration": {}}).model_dump_json(), plan) for plan in bundle.plans
        )
    )
