"""Directions of a connection: what its owner says single fields are for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("connections", sa.Column("directions", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("connections", recreate="never") as table:
        table.drop_column("directions")
