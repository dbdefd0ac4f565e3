"""What training makes: adapters, attempts at a better version, and where each version came from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("versions") as versions:
        versions.add_column(sa.Column("parent_id", sa.Integer))
        versions.add_column(sa.Column("served_at", sa.DateTime(timezone=True)))
    op.create_table(
        "adapters",
        sa.Column("sha", sa.String(64), primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "refreshes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("connection_id", sa.Integer, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
        sa.Column("field", sa.String(500), nullable=False),
        sa.Column("trigger", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("labels", sa.Integer, nullable=False),
        sa.Column("items", sa.JSON, nullable=False),
        sa.Column("held_out", sa.Boolean, nullable=False),
        sa.Column("parent", sa.String(64), nullable=False),
        sa.Column("adapter", sa.String(64)),
        sa.Column("version_id", sa.Integer),
        sa.Column("verdict", sa.JSON, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_refreshes_field", "refreshes", ["connection_id", "field"])


def downgrade() -> None:
    op.drop_table("refreshes")
    op.drop_table("adapters")
    with op.batch_alter_table("versions") as versions:
        versions.drop_column("served_at")
        versions.drop_column("parent_id")
