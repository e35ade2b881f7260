"""How Alembic runs here: on the connection that the store hands over, in one transaction."""

from alembic import context

from staid.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
