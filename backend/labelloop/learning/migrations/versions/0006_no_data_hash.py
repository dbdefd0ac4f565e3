"""Items are found alike by what the fields read of them, so a hash of all their columns is of no use any more."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ITEMS = sa.table(
    "items",
    sa.column("connection_id", sa.Integer),
    sa.column("item_id", sa.BigInteger),
    sa.column("deleted", sa.Boolean),
    sa.column("data", sa.JSON),
    sa.column("data_hash", sa.String),
)


def upgrade() -> None:
    op.drop_index("ix_items_hash", "items")
    with op.batch_alter_table("items", recreate="never") as items:
        items.drop_column("data_hash")


def downgrade() -> None:
    with op.batch_alter_table("items", recreate="never") as items:
        items.add_column(sa.Column("data_hash", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_items_hash", "items", ["connection_id", "data_hash"])
    connection = op.get_bind()
    which = (_ITEMS.c.connection_id == sa.bindparam("of"), _ITEMS.c.item_id == sa.bindparam("item"))
    fill = sa.update(_ITEMS).where(*which).values(data_hash=sa.bindparam("hash"))
    kept = sa.select(_ITEMS.c.connection_id, _ITEMS.c.item_id, _ITEMS.c.data).where(~_ITEMS.c.deleted)
    for some in connection.execute(kept).partitions(1000):
        connection.execute(fill, [{"of": one[0], "item": one[1], "hash": _hash(one[2])} for one in some])


def _hash(data: object) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
