"""Settings that are wrong, servers that do not answer: `error:`, `hint:`, exit 2, nothing touched."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, has_history, snapshot
from tests.support.server import with_parameters
from upgrader.database.embedded import embedded_server
from upgrader.runner.options import UpgradeOptions


@pytest.fixture
def product(project: Project) -> Project:
    project.fast("1.0.0", 1, "Step")
    return project


def test_no_database_url_anywhere(product: Project):
    """An error that shows both ways to give one; never an embedded server by itself."""
    product.configure(database_url=None)
    result = product.run_cli("upgrade")
    assert_error(result, 2, "--database-url", "UPGRADER_DATABASE_URL", "embedded:")
    assert list(product.directory.glob(".upgrader*")) == []


def test_no_settings_file_and_no_commands(project: Project):
    """An empty directory: the error comes from what is needed first."""
    (project.directory / "upgrader.toml").unlink()
    project.commands.rmdir()
    assert_error(project.run_cli("upgrade"), 2, "commands")


@pytest.mark.parametrize(
    "arguments",
    ["init", "status", "worker", "worker status", "jobs list", "jobs trigger x"],
)
def test_the_working_directory_is_gone(tmp_path: Path, arguments: str):
    """Each verb says so, as a shell does that was left in a directory somebody has taken away."""
    left = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    result = subprocess.run(
        ["sh", "-c", left, "sh", str(tmp_path), sys.executable, "-m", "upgrader", *arguments.split()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert (
        result.stderr == "error: the working directory is gone\nhint: change into a directory that is there\n"
    )


def test_unknown_key_names_the_nearest(product: Project):
    """In a file it is an error."""
    product.configure(databse_url="postgresql://x/y")
    assert_error(product.run_cli("upgrade"), 2, "databse_url", "database_url")


def test_unknown_variable_is_a_warning(product: Project):
    """The run goes on."""
    result = product.run_cli("upgrade", env={"UPGRADER_APP_VERSON": "1.0.0"})
    assert_code(result, 0)
    assert "warning:" in result.stderr
    assert "UPGRADER_APP_VERSION" in result.stderr


def test_two_settings_files(product: Project):
    """`upgrader.toml` beside `[tool.upgrader]`: an error that names both."""
    product.write("pyproject.toml", "[tool.upgrader]\nschema = 'x'\n")
    assert_error(product.run_cli("upgrade"), 2, "upgrader.toml", "pyproject.toml")


def test_settings_in_pyproject(product: Project):
    """`[tool.upgrader]` serves as well."""
    text = (product.directory / "upgrader.toml").read_text()
    (product.directory / "upgrader.toml").unlink()
    product.write("pyproject.toml", f"[tool.upgrader]\n{text}")
    assert_code(product.run_cli("upgrade"), 0)


def test_file_that_is_no_toml(product: Project):
    """With its line."""
    product.write("upgrader.toml", "database_url = \n")
    assert_error(product.run_cli("upgrade"), 2, "upgrader.toml:1")


def test_config_file_that_is_not_there(product: Project):
    """`--config FILE`."""
    assert_error(product.run_cli("--config", "absent.toml", "upgrade"), 2, "absent.toml")


def test_config_file_elsewhere(product: Project):
    """Paths in it are relative to it, wherever the program is started."""
    (product.directory / "conf").mkdir()
    (product.directory / "upgrader.toml").rename(product.directory / "conf" / "my.toml")
    product.commands.rename(product.directory / "conf" / "commands")
    assert_code(product.run_cli("--config", "conf/my.toml", "upgrade"), 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"app_version": "1.2"}, ("app_version", "1.2")),
        ({"schema": "pg_mine"}, ("schema", "pg_mine")),
        ({"missing": "maybe"}, ("missing", "refuse", "run")),
        ({"unenrolled_workspaces": "x"}, ("unenrolled_workspaces", "apply-all")),
        ({"commands": "commands"}, ("commands", "list")),
        ({"workspaces": {"table": "a.b.c.d"}}, ("table",)),
        ({"workspaces": {"table": "t", "provider": "a:b"}}, ("table", "provider")),
        ({"database_url": "postgresql://u:hunter2hunter2@127.0.0.1:port/d"}, ("port",)),
        ({"database_url": "mysql://u@h/d"}, ("database_url",)),
    ],
)
def test_value_that_is_wrong(product: Project, settings: dict[str, object], words: tuple[str, ...]):
    """Named with its key; the database is not touched, and no password is shown."""
    product.configure(**settings)
    result = product.run_cli("upgrade")
    assert_error(result, 2, *words)
    assert "hunter2" not in result.stderr
    assert not has_history(product)


def test_all_problems_at_once(product: Project):
    """From file and environment, in one message."""
    product.configure(missing="maybe", app_version="x")
    result = product.run_cli("upgrade", env={"UPGRADER_LOCK_TRIES": "none"})
    assert_error(result, 2, "missing", "app_version", "UPGRADER_LOCK_TRIES")


def test_flags_win_over_environment_over_file(product: Project):
    """And `DATABASE_URL` lies below `UPGRADER_DATABASE_URL`."""
    product.fast("2.0.0", 2, "Later")
    product.configure(app_version="1.0.0", database_url="postgresql://nobody@127.0.0.1:1/x")
    environment = {
        "UPGRADER_APP_VERSION": "2.0.0",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/y",
        "UPGRADER_DATABASE_URL": product.database_url,
    }
    planned = document(product.run_cli("plan", "--json", env=environment))
    assert planned["target"] == "2.0.0"
    planned = document(product.run_cli("--app-version", "1.0.0", "plan", "--json", env=environment))
    assert planned["target"] == "1.0.0"
    common = {"DATABASE_URL": product.database_url}
    assert_code(product.run_cli("plan", env=common), 0)
    flag = ("--database-url", product.database_url)
    assert_code(product.run_cli(*flag, "plan", env={"DATABASE_URL": "postgresql://127.0.0.1:1/y"}), 0)


def test_nested_key_from_the_environment(product: Project):
    """`UPGRADER_WORKSPACES__TABLE`."""
    product.workspace("1.0.0", 2, "InWorkspace")
    result = product.run_cli("upgrade", env={"UPGRADER_WORKSPACES__TABLE": "core.tenant"})
    assert_error(result, 2, "core.tenant")


def test_commands_flag_is_repeatable(product: Project):
    """`--commands` wins over the file, and several are loaded together."""
    product.write(
        "more/extra.py",
        """
        from upgrader import instance_command

        @instance_command("1.0.0", 9)
        class More:
            def up(self, connection): ...
        """,
    )
    listed = document(product.run_cli("--commands", "more", "--commands", "commands", "list", "--json"))
    assert [command["class_name"] for command in listed["commands"]] == ["Step", "More"]
    listed = document(product.run_cli("--commands", "more", "list", "--json"))
    assert [command["class_name"] for command in listed["commands"]] == ["More"]


def test_unreachable_server(product: Project):
    """Exit 2, named without its password."""
    result = product.run_cli("--database-url", "postgresql://u:hunter2hunter2@127.0.0.1:1/x", "upgrade")
    assert_error(result, 2, "cannot connect", "127.0.0.1:1")
    assert "hunter2" not in result.stdout + result.stderr


def test_host_that_is_unknown(product: Project):
    """Exit 2 with a hint about the host name."""
    result = product.run_cli("--database-url", "postgresql://u@no-such-host.invalid/x", "upgrade")
    assert_error(result, 2, "no-such-host.invalid")


def test_database_that_is_not_there(product: Project):
    """Exit 2."""
    url = with_parameters(product.database_url, dbname="no_such_database")
    assert_error(product.run_cli("--database-url", url, "upgrade"), 2, "no_such_database", "create it")


@pytest.fixture(scope="module")
def strict_server() -> Iterator[str]:
    """A server of its own that asks one role for a password."""
    folder = Path(tempfile.mkdtemp(prefix="upgrader-tests-strict-"))
    with embedded_server(folder / "data") as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("create role locked login password 'the-right-one'")
            # The trick of COPY: the server writes its own file of rules.
            admin.execute("create temp table rules (number serial, line text)")
            (file,) = admin.execute("show hba_file").fetchone() or ("",)
            admin.execute(
                "insert into rules (line) values ('local all locked scram-sha-256'), ('local all all trust')"
            )
            admin.execute(f"copy (select line from rules order by number) to '{file}'".encode())
            admin.execute("select pg_reload_conf()")
        yield url


@pytest.mark.parametrize(("password", "words"), [("the-wrong-one", "password"), (None, "no password")])
def test_wrong_password(product: Project, strict_server: str, password: str | None, words: str):
    """Exit 2 with a hint; the password is nowhere."""
    parameters = {"user": "locked"} | ({"password": password} if password else {})
    url = with_parameters(strict_server, **parameters)
    result = product.run_cli("--database-url", url, "upgrade")
    assert_error(result, 2, words, "PGPASSWORD")
    assert "the-wrong-one" not in result.stdout + result.stderr


def test_right_password_from_the_environment(product: Project, strict_server: str):
    """`PGPASSWORD` works as with libpq; a role that may not create the schema is told what to ask for."""
    url = with_parameters(strict_server, user="locked")
    result = product.run_cli("--database-url", url, "upgrade", env={"PGPASSWORD": "the-right-one"})
    assert_error(result, 2, "may not make the history schema", "CREATE SCHEMA", "AUTHORIZATION")


def test_role_that_may_not_create_the_history_schema(product: Project, make_role):
    """Exit 2 with the statement for an administrator; the database is as it was, in a dry run too."""
    before = snapshot(product)
    url = make_role().url(product.database_url)
    for flags in (["upgrade"], ["upgrade", "--dry-run"], ["baseline", "1.0.0"]):
        result = product.run_cli("--database-url", url, *flags)
        assert_error(result, 2, "may not make the history schema", "CREATE SCHEMA")
    assert snapshot(product) == before


def test_history_of_a_newer_program(product: Project):
    """Exit 2 for every verb, reading ones too; nothing is touched."""
    product.api().upgrade(UpgradeOptions())
    with product.connect() as connection:
        connection.execute("update upgrader.meta set value = '999' where key = 'layout'")
    before = snapshot(product)
    for verb in ("upgrade", "plan", "status", "history", "workspace list", "baseline 1.0.0"):
        assert_error(product.run_cli(*verb.split()), 2, "layout 999", "newer version")
    assert snapshot(product) == before


@pytest.mark.parametrize("table", ["history", "meta"])
def test_history_schema_that_holds_something_else(product: Project, table: str):
    """A table of that name that is not ours: exit 2, nothing touched."""
    with product.connect() as connection:
        connection.execute(f"create schema upgrader; create table upgrader.{table} (note text)".encode())
    before = snapshot(product)
    assert_error(product.run_cli("upgrade"), 2, "upgrader", "schema")
    assert snapshot(product) == before


def test_history_in_a_schema_of_another_name(product: Project):
    """`schema`, also one that has to be quoted."""
    product.configure(schema="My History")
    assert_code(product.run_cli("upgrade"), 0)
    assert product.query('select count(*) from "My History".history') == [(2,)]
    assert_code(product.run_cli("status", "--exit-code"), 0)


def test_json_of_a_refusal(product: Project):
    """Also what never began is one document on stdout."""
    product.configure(database_url=None)
    result = product.run_cli("upgrade", "--json")
    assert_error(result, 2, "no database")
    assert "--database-url" in document(result)["error"]["hint"]
