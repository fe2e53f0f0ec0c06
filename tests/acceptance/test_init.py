"""`upgrader init`: a configuration and `commands/`, never over a file that is there."""

from tests.support.project import Project
from tests.support.results import assert_code, assert_error


def test_from_nothing_to_a_first_upgrade(project: Project):
    """init, generate, upgrade: what a new product types."""
    (project.directory / "upgrader.toml").unlink()
    project.commands.rmdir()
    result = project.run_cli("init")
    assert_code(result, 0)
    assert "upgrader.toml" in result.stdout.split()
    assert project.commands.is_dir()
    assert_error(project.run_cli("upgrade"), 2)
    made = project.run_cli("generate", "--name", "add-x", "--type", "fast", "--version", "1.0.0")
    assert_code(made, 0)
    file = project.directory / made.stdout.strip()
    body = file.read_text(encoding="utf-8")
    assert "raise NotImplementedError" in body
    url = {"UPGRADER_DATABASE_URL": project.database_url}
    assert_code(project.run_cli("upgrade", env=url), 1)
    file.write_text(
        "from sqlalchemy import text\n"
        + body[: body.index("class ")]
        + "class AddX:\n    def up(self, connection: Connection) -> None:\n"
        + "        connection.execute(text('create table x (id int)'))\n",
        encoding="utf-8",
    )
    assert_code(project.run_cli("upgrade", env=url), 0)
    assert project.query("select to_regclass('x')::text") == [("x",)]


def test_files_that_are_there_are_left_alone(project: Project):
    """Said, and unchanged."""
    before = (project.directory / "upgrader.toml").read_text(encoding="utf-8")
    result = project.run_cli("init")
    assert_code(result, 0)
    assert "left alone" in result.stderr
    assert (project.directory / "upgrader.toml").read_text(encoding="utf-8") == before
