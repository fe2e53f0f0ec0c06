"""Whom the program is measured against, each on the same server, in turns with it.

loop.py      the same statements by hand with psycopg, on one thread or several
alembic.py   `command.upgrade` for each schema, in one process
tenants.py   `migrate_schemas` of django-tenants, in a virtual environment of its own
"""
