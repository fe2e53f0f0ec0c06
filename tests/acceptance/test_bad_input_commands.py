"""Command modules that are wrong: all problems together, each with its file, exit 2, the database untouched."""

from tests.support.project import Project
from tests.support.results import Result, assert_error, document, has_history

COMMAND = """
from upgrader import instance_command, workspace_command

{body}
"""


def write(project: Project, path: str, body: str) -> None:
    project.write(f"commands/{path}", COMMAND.format(body=body))


def refused(project: Project, *words: str) -> Result:
    """Hold that the upgrade is refused with these words, and that the database was not touched."""
    result = project.run_cli("upgrade")
    assert_error(result, 2, *words)
    assert not has_history(project)
    return result


def test_commands_path_that_is_not_there(project: Project):
    """Named; so is a package that cannot be found."""
    project.configure(commands=["absent_folder/commands"])
    refused(project, "absent_folder")
    project.configure(commands=["no_such_package.commands"])
    refused(project, "no_such_package")


def test_all_problems_are_told_together(project: Project):
    """A syntax error, an import error, a module that ends the program, one without a command, a wrong decorator."""
    write(project, "v1/1_syntax.py", "def (")
    write(project, "v1/2_import.py", "import no_such_library_at_all")
    write(project, "v1/3_exit.py", "raise SystemExit(0)")
    write(project, "v1/4_empty.py", "")
    write(
        project,
        "v1/5_version.py",
        '@instance_command("1.2", 5)\nclass Five:\n    def up(self, connection): ...',
    )
    result = refused(
        project,
        "5 problems",
        "1_syntax.py:",
        "2_import.py:",
        "no_such_library_at_all",
        "3_exit.py:",
        "SystemExit",
        "4_empty.py",
        "no command in this module",
        "5_version.py:",
        "'1.2'",
    )
    assert result.stdout == ""


WRONG_DECORATORS = (
    ('@instance_command("1", 1)', "'1'"),
    ('@instance_command("1.0.0+local", 1)', "'1.0.0+local'"),
    ('@instance_command("1!1.0.0", 1)', "'1!1.0.0'"),
    ('@instance_command("1.0.0.post1", 1)', "'1.0.0.post1'"),
    ('@instance_command("1.0.0.dev1", 1)', "'1.0.0.dev1'"),
    ('@instance_command("latest", 1)', "'latest'"),
    ("@instance_command(1.5, 1)", "1.5"),
    ('@instance_command("1.0.0", 0)', "positive"),
    ('@instance_command("1.0.0", -5)', "-5"),
    ('@instance_command("1.0.0", 2**63)', "9223372036854775808"),
    ('@instance_command("1.0.0", "1")', "not an integer"),
    ('@instance_command("1.0.0", 1, "medium")', "medium"),
    ('@instance_command("1.0.0", 1)\n@instance_command("1.0.0", 2)', "more than one"),
    ('@workspace_command("1.0.0", 1)', "run_on_workspace"),
)


def test_decorators_that_are_wrong(project: Project):
    """Each is told at its line, all in one report."""
    for number, (decorator, _) in enumerate(WRONG_DECORATORS):
        body = f"{decorator}\nclass Wrong{number}:\n    def up(self, connection): ..."
        write(project, f"wrong_{number}.py", body)
    result = refused(project, "problems in the command modules")
    for number, (_, words) in enumerate(WRONG_DECORATORS):
        assert f"Wrong{number} " in result.stderr or f"Wrong{number}:" in result.stderr
        assert f"wrong_{number}.py:" in result.stderr
        assert words in result.stderr


def test_method_that_is_missing_or_not_callable(project: Project):
    """`up` and its like."""
    write(project, "one.py", '@instance_command("1.0.0", 1)\nclass One:\n    up = 5')
    write(
        project,
        "two.py",
        '@instance_command("1.0.0", 2, "slow")\nclass Two:\n    def up(self, connection): ...',
    )
    refused(project, "2 problems", "one.py:", "two.py:", "run_data_migration")


def test_every_collision_is_told_with_its_files(project: Project):
    """Timestamps of one kind, names, names that differ in case only, CLI names."""
    up = "\n    def up(self, connection): ..."
    run = "\n    def run_on_workspace(self, ctx): ..."
    write(project, "a.py", f'@instance_command("1.0.0", 1)\nclass Alpha:{up}')
    write(project, "b.py", f'@instance_command("1.0.0", 1)\nclass Beta:{up}')
    write(project, "c.py", f'@instance_command("1.0.0", 3)\nclass Same:{up}')
    write(project, "d.py", f'@workspace_command("1.0.0", 4)\nclass Same:{run}')
    write(project, "e.py", f'@instance_command("1.0.0", 5)\nclass CaseName:{up}')
    write(project, "f.py", f'@instance_command("1.0.0", 6)\nclass Casename:{up}')
    write(project, "g.py", f'@workspace_command("1.0.0", 7, name="fill")\nclass Fill:{run}')
    write(project, "h.py", f'@workspace_command("1.1.0", 8, name="fill")\nclass Other:{run}')
    result = refused(project, "4 problems", "timestamp 1", "Same", "differ only in case", "fill")
    for letter in "abcdefgh":
        assert f"{letter}.py:" in result.stderr


def test_one_timestamp_in_several_kinds_and_versions_is_fine(project: Project):
    """No collision."""
    project.create_workspaces()
    project.fast("1.0.0", 1, "Fast")
    project.slow("1.0.0", 1, "Slow")
    project.workspace("1.0.0", 1, "Workspace")
    project.fast("1.1.0", 1, "Fast")
    assert project.run_cli("upgrade", "--include-slow").returncode == 0


def test_file_name_and_decorator_carry_one_timestamp(project: Project):
    """A file that begins with a timestamp has to have that one."""
    write(
        project, "1700000000000_step.py", '@instance_command("1.0.0", 7)\nclass A:\n    def up(self, c): ...'
    )
    refused(project, "1700000000000", "7")


def test_underscored_files_are_not_scanned_and_relative_imports_work(project: Project):
    """`from ._shared import x`; folders that begin with `_` or `.` are left alone."""
    project.write("commands/_shared.py", "STATEMENT = 'create table shared (id int)'\n")
    project.write("commands/_drafts/broken.py", "def (\n")
    project.write("commands/.hidden/broken.py", "def (\n")
    project.write(
        "commands/deep/er/step.py",
        """
        from sqlalchemy import text
        from ..._shared import STATEMENT
        from upgrader import instance_command

        @instance_command("1.0.0", 1)
        class Step:
            def up(self, connection):
                connection.execute(text(STATEMENT))
        """,
    )
    assert project.run_cli("upgrade").returncode == 0
    assert project.query("select to_regclass('shared')::text") == [("shared",)]


def test_problems_as_json(project: Project):
    """One document, with each problem and its places."""
    write(project, "1_syntax.py", "def (")
    write(project, "2_import.py", "import no_such_library_at_all")
    result = project.run_cli("upgrade", "--json")
    assert_error(result, 2)
    problems = document(result)["error"]["problems"]
    assert len(problems) == 2
    assert all(problem["places"] for problem in problems)


def test_other_verbs_refuse_them_too(project: Project):
    """Everything that loads commands."""
    write(project, "1_syntax.py", "def (")
    for verb in ("list", "plan", "status"):
        assert_error(project.run_cli(verb), 2, "1_syntax.py:")


def test_dormant_commands_are_checked_too(project: Project):
    """Above app_version, and still loaded."""
    project.configure(app_version="1.0.0")
    write(project, "1_x.py", '@instance_command("9.0.0", 1)\nclass A:\n    pass')
    refused(project, "1_x.py:", "up")
