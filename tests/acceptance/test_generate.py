"""`upgrader generate`: a new file with a fresh timestamp, and stdout is its path."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document


@pytest.fixture
def offline(project: Project) -> Project:
    """A project without any database."""
    project.configure(database_url=None, app_version="1.22.0")
    return project


@pytest.mark.parametrize("kind", ["fast", "slow", "workspace"])
def test_each_type_gives_a_module_that_loads_and_raises_until_written(project: Project, kind: str):
    """The path is all of stdout; the file has a docstring, type hints and bodies that raise."""
    project.create_workspaces("a")
    project.configure(app_version="1.22.0")
    result = project.run_cli("generate", "--name", "add invoice-currency", "--type", kind)
    assert_code(result, 0)
    path = result.stdout.removesuffix("\n")
    assert re.fullmatch(r"commands/v1_22_0/\d{13}_add_invoice_currency\.py", path)
    text = (project.directory / path).read_text(encoding="utf-8")
    assert "class AddInvoiceCurrency:" in text
    assert '"""' in text
    assert "-> None:" in text
    (command,) = document(project.run_cli("list", "--json"))["commands"]
    assert command["version"] == "1.22.0"
    assert str(command["timestamp"]) in path
    failed = project.run_cli("upgrade", "--include-slow")
    assert_code(failed, 1)
    assert "NotImplementedError" in failed.stdout


def test_version_and_non_transactional(offline: Project):
    """`--version V`; a released one is warned about; `--non-transactional`."""
    result = offline.run_cli(
        "generate", "--name", "x", "--type", "fast", "--version", "1.21.0", "--non-transactional"
    )
    assert_code(result, 0)
    assert result.stdout.startswith("commands/v1_21_0/")
    assert "warning: 1.21.0 is released already" in result.stderr
    (command,) = document(offline.run_cli("list", "--json"))["commands"]
    assert command["transactional"] is False


@pytest.mark.parametrize("name", ["", "---", "ключ", "../x"])
def test_name_that_is_no_identifier(offline: Project, name: str):
    """Refused, nothing is written."""
    result = offline.run_cli("generate", "--name", name, "--type", "fast")
    if result.returncode == 0:
        assert re.fullmatch(r"commands/v1_22_0/\d+_[a-z_0-9]+\.py\n", result.stdout)
        assert_code(offline.run_cli("list"), 0)
        return
    assert_error(result, 2)
    assert list(offline.commands.rglob("*.py")) == []


def test_wrong_type_and_wrong_version(offline: Project):
    """Exit 2 with what can be given."""
    assert_error(offline.run_cli("generate", "--name", "x", "--type", "medium"), 2, "fast", "workspace")
    assert_error(offline.run_cli("generate", "--name", "x", "--type", "fast", "--version", "1.2"), 2, "1.2")
    assert_error(offline.run_cli("generate", "--type", "fast"), 2, "--name")


def test_no_version_anywhere(offline: Project):
    """Without app_version the release has to be given."""
    offline.configure(app_version=None)
    assert_error(offline.run_cli("generate", "--name", "x", "--type", "fast"), 2, "--version")


def test_several_at_the_same_moment_never_collide(offline: Project):
    """Each has its own file and timestamp."""

    def generate(number: int) -> subprocess.CompletedProcess[str]:
        return offline.run_cli("generate", "--name", f"step-{number}", "--type", "fast")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(generate, range(4)))
    assert [result.returncode for result in results] == [0] * 4
    stamps = {re.findall(r"/(\d{13})_", result.stdout)[0] for result in results}
    assert len(stamps) == 4
    assert_code(offline.run_cli("list"), 0)
