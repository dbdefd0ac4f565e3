"""The first tables: connections, versions, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("server_url", sa.String(500), nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("backend_id", sa.Integer),
        sa.Column("label_config", sa.Text, nullable=False),
        sa.Column("champion_id", sa.Integer),
        sa.Column("bound_at", sa.DateTime(timezone=True)),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_connections_project", "connections", ["project_id", "created_at"])
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("connection_id", sa.Integer, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("bundle", sa.JSON, nullable=False),
        sa.Column("skipped", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("connection_id", "number"),
        sa.UniqueConstraint("connection_id", "digest"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("connection_id", sa.Integer, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("connection_id", "fingerprint"),
    )
    op.create_index("ix_events_received", "events", ["received_at"])


def downgrade() -> None:
    op.drop_table("events")
    op.drop_table("versions")
    op.drop_table("connections")
