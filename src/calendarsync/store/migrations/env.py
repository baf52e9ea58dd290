"""Run by Alembic, inside the transaction that the caller has begun."""

from __future__ import annotations

from alembic import context

from calendarsync.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
