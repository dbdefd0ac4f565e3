"""What the gate is shown: since when tasks are labelled blind, and which texts a training learned from and was judged
on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("connections", recreate="never") as connections:
        connections.add_column(sa.Column("blind_since", sa.DateTime(timezone=True)))
    with op.batch_alter_table("refreshes", recreate="never") as refreshes:
        refreshes.add_column(sa.Column("learned", sa.JSON, nullable=False, server_default="[]"))
        refreshes.add_column(sa.Column("judged", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:  # SQLite would drop a table to make it anew, and with it what refers to its rows
    with op.batch_alter_table("refreshes", recreate="never") as refreshes:
        refreshes.drop_column("judged")
        refreshes.drop_column("learned")
    with op.batch_alter_table("connections", recreate="never") as connections:
        connections.drop_column("blind_since")
