"""What people said: items, annotations, the memory epoch, how far reading back is, and which events are applied."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _of_connection() -> sa.Column[int]:
    whose = sa.ForeignKey("connections.id", ondelete="CASCADE")
    return sa.Column("connection_id", sa.Integer, whose, primary_key=True)


def upgrade() -> None:
    op.add_column("connections", sa.Column("memory_epoch", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("connections", sa.Column("sync_state", sa.JSON, nullable=False, server_default="{}"))
    # what has arrived so far was only stored: it is applied by whoever reads first
    op.add_column("events", sa.Column("pending", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_index("ix_events_pending", "events", ["connection_id", "pending"])
    op.create_table(
        "items",
        _of_connection(),
        sa.Column("item_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("data_hash", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_items_hash", "items", ["connection_id", "data_hash"])
    op.create_table(
        "annotations",
        _of_connection(),
        sa.Column("annotation_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("item_id", sa.BigInteger),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("who", sa.BigInteger),
        sa.Column("ground_truth", sa.Boolean, nullable=False),
        sa.Column("was_cancelled", sa.Boolean, nullable=False),
        sa.Column("how", sa.String(10), nullable=False),
        sa.Column("parent_prediction", sa.BigInteger),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("field", sa.String(500), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_annotations_item", "annotations", ["connection_id", "item_id"])
    op.create_index("ix_annotations_epoch", "annotations", ["connection_id", "epoch"])


def downgrade() -> None:
    op.drop_table("annotations")
    op.drop_table("items")
    op.drop_index("ix_events_pending", "events")
    for table, columns in (("events", ("pending",)), ("connections", ("sync_state", "memory_epoch"))):
        with op.batch_alter_table(table, recreate="never") as changed:
            for column in columns:
                changed.drop_column(column)
