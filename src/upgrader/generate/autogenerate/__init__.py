"""Commands written from the difference between SQLAlchemy models and the live database.

Alembic compares; everything that is written is plain SQL of our own. It is imported below this package only,
and only when something is compared: `require_alembic` says so where it is not installed.
"""

from __future__ import annotations

from importlib.util import find_spec

from upgrader.errors import OperatorError


def require_alembic() -> None:
    """Make sure that there is something to compare with.

    Raises:
        OperatorError: Alembic is not installed.
    """
    if find_spec("alembic") is None:
        raise OperatorError(
            "--autogenerate needs Alembic, which is not installed",
            hint="pip install 'upgrader[autogenerate]'",
        )
