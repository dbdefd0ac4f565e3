"""When the blind slice of a connection began."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("blind_since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("connections") as connections:
        connections.drop_column("blind_since")
