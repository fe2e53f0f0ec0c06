"""The CI definitions and hooks that the guide shows: their command lines are run, in order, against a server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.test_docs import GUIDE, ROOT
from tests.support.documents import Block, Workbench, blocks_of, shell_environment
from tests.support.findings import assert_junit
from tests.support.project import Project

SECTION = "Check every pull request"
GITHUB = ".github/workflows/upgrade.yml"
GITLAB = ".gitlab-ci.yml"
PRE_COMMIT = ".pre-commit-config.yaml"

_ALL = blocks_of(GUIDE)
_TABLES = next(block for block in _ALL if block.language == "sql")
_BLOCKS = [block for block in _ALL if block.section == SECTION]


@pytest.fixture
def product(project: Project) -> Project:
    """The product of the guide, with the files of the section as they are at its end."""
    with project.connect() as connection:
        connection.execute(_TABLES.text.encode())
    environment = shell_environment(project.home)
    files = [block for block in _BLOCKS if block.language != "console"]
    Workbench(project.directory, environment, project.database_url).run(files)
    (project.directory / ".git").mkdir()
    return project


def definition(file: str) -> Any:
    """Give a YAML block by the file that it is written to."""
    (block,) = (one for one in _BLOCKS if one.language == "yaml" and one.file == file)
    return yaml.safe_load(block.text)


def github_commands() -> Iterator[tuple[str, dict[str, str]]]:
    """Give the command lines of the jobs in order, with the variables that are written out."""
    for job in definition(GITHUB)["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                yield step["run"], {**job.get("env", {}), **step.get("env", {})}


def gitlab_commands() -> Iterator[tuple[str, dict[str, str]]]:
    """Give the command lines of the jobs, by stage, with their variables."""
    found = definition(GITLAB)
    stages = found["stages"]
    jobs = [job for job in found.values() if isinstance(job, dict)]
    for job in sorted(jobs, key=lambda job: stages.index(job["stage"])):
        for line in job["script"]:
            yield line, job.get("variables", {})


def run_lines(product: Project, lines: Iterator[tuple[str, dict[str, str]]]) -> list[str]:
    """Run the lines that call the program; give those that were."""
    ran = []
    for line, variables in lines:
        if line.startswith("pip install"):
            assert re.fullmatch(r'pip install "upgrader\[[a-z,]+\]" -r requirements\.txt', line)
            continue
        given = {
            key: product.database_url if "secrets." in value else value for key, value in variables.items()
        }
        environment = shell_environment(
            product.home, **{"UPGRADER_DATABASE_URL": product.database_url, **given}
        )
        done = subprocess.run(
            ["bash", "-e", "-c", line],
            cwd=product.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
        ran.append(line)
    return ran


@pytest.mark.parametrize("lines", [github_commands, gitlab_commands], ids=["github", "gitlab"])
def test_every_command_line_of_the_jobs(product: Project, lines: Any):
    """Check, check against the live database, upgrade with slow steps, status: all in order."""
    ran = run_lines(product, lines())
    assert [line.split()[1] for line in ran] == ["check", "check", "upgrade", "status"]
    assert "--embedded" in ran[0]
    assert "upgrader upgrade --include-slow" in ran[2]
    assert product.query("select count(*) from upgrader.history where name like '1.22.0_AddNote_%'") == [(1,)]
    if lines is gitlab_commands:
        assert_junit(product.directory / definition(GITLAB)["check"]["artifacts"]["reports"]["junit"])


def test_gate_of_a_job_is_closed(product: Project):
    """The line of the job ends with 5 where there is something to find, and the upgrade never begins."""
    product.fast("1.22.0", 1780000000002, "Broken", "SELECT 1 / 0")
    with pytest.raises(AssertionError, match="sequence-fails"):
        run_lines(product, github_commands())
    assert product.query("select to_regnamespace('upgrader') is null") == [(True,)]


def hooks(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", ["the repository", "the guide"])
def test_hook_of_pre_commit(product: Project, source: str):
    """The entry is run as it is written; it fails where a command is broken, and looks at commands and settings."""
    if source == "the guide":
        ((repo,),) = (definition(PRE_COMMIT)["repos"],)
        (hook,) = repo["hooks"]
        assert repo["repo"] == "local"
    else:
        (hook,) = hooks(ROOT / ".pre-commit-hooks.yaml")
        assert hook["language"] == "python"
    assert hook["id"] == "upgrader-check"
    assert hook["pass_filenames"] is False
    for path in ("commands/v1_22_0/1780000000001_add_note.py", "upgrader.toml", "pyproject.toml"):
        assert re.search(hook["files"], path)
    assert not re.search(hook["files"], "src/app.py")
    arguments = hook["entry"].split()[1:]
    assert product.run_cli(*arguments).returncode == 0
    product.write("commands/v1_22_0/2_broken.py", "def (")
    assert product.run_cli(*arguments).returncode == 5


def test_blocks_are_all_looked_at():
    """No definition in the guide is missed here."""
    files = {block.file for block in _ALL if isinstance(block, Block) and block.language == "yaml"}
    assert files == {GITHUB, GITLAB, PRE_COMMIT}
