"""Run by Alembic: inside the transaction that the caller has begun, else with one for each revision."""

from __future__ import annotations

from alembic import context

from calendarsync.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
