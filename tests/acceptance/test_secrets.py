"""Secrets are replaced before anything is written anywhere."""

from collections.abc import Callable

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import Role

PASSWORD = "c0rrect-horse:battery@staple"
LEAKS = """
raise ValueError(
    "could not reach {0!r}, password=" + {0!r} + ", url postgresql://app:" + {0!r} + "@db/app, bare " + {0!r}
)
"""


@pytest.fixture
def secretive(project: Project, make_role: Callable[..., Role]) -> Project:
    """A project whose URL holds a password that its commands try to tell in every way."""
    role = make_role("superuser")
    with project.connect() as admin:
        admin.execute(f"alter role \"{role.name}\" password '{PASSWORD}'".encode())
    project.create_workspaces("a")
    project.configure(database_url=role.url(project.database_url, password=PASSWORD))
    project.fast("1.0.0", 1, "Prints", f"print({PASSWORD!r})")
    project.slow("1.0.0", 2, "Logs", migrate=f"ctx.log.warning({PASSWORD!r})")
    project.fast(
        "1.0.0",
        3,
        "States",
        f"connection.execute(text(\"select '{PASSWORD.replace(':', chr(92) + chr(92) + ':')}'\"))\n"
        f"connection.execute(text('select :secret'), {{'secret': {PASSWORD!r}}})",
    )
    project.workspace("1.0.0", 4, "Leaks", LEAKS.replace("{0!r}", repr(PASSWORD)).replace("\n", "\n"))
    return project


def test_password_is_in_no_output_and_not_in_the_history(secretive: Project):
    """Not with --verbose, --show-parameters, --debug or --json; not as it stands in the URL either."""
    told = ""
    for arguments in (
        ["--debug", "upgrade", "--include-slow", "--verbose", "--show-parameters"],
        ["--debug", "upgrade", "--include-slow", "--json"],
        ["plan"],
        ["status"],
        ["history"],
        ["history", "--json"],
        ["--debug", "--database-url", f"postgresql://u:{PASSWORD}@127.0.0.1:1/x", "upgrade"],
    ):
        result = secretive.run_cli(*arguments)
        told += result.stdout + result.stderr
    assert "Leaks" in told
    assert "***" in told
    assert "battery" not in told
    assert "c0rrect" not in told
    ((history,),) = secretive.query("select string_agg(h::text, ' ') from upgrader.history h")
    assert "battery" not in history
    assert ("Leaks", "a", 2, "failed") in attempts(secretive)


def test_what_authors_log_is_told_without_secrets(secretive: Project):
    """Also by loggers of their own, where nothing has set logging up: as a command is loaded, and as it runs."""
    warns = f"import logging; logging.getLogger('acme').warning('by hand [red] %s', {PASSWORD!r})"
    file = secretive.fast("1.0.0", 9, "Warns", warns)
    file.write_text(
        f"{file.read_text()}\nimport logging\nlogging.getLogger('x').error('loaded ' + {PASSWORD!r})\n"
    )
    result = secretive.run_cli("upgrade")
    assert "by hand [red] ***" in result.stderr
    assert "loaded ***" in result.stderr
    assert "battery" not in result.stdout + result.stderr


def test_secret_of_the_environment(project: Project):
    """`PGPASSWORD` is one too."""
    project.fast("1.0.0", 1, "Leaks", "import os\nraise ValueError('it is ' + os.environ['PGPASSWORD'])")
    result = project.run_cli("--debug", "upgrade", env={"PGPASSWORD": "hunter2hunter2"})
    assert result.returncode == 1
    assert "hunter2" not in result.stdout + result.stderr
