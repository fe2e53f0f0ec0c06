"""The formats of `upgrader check`, on one project with findings of all kinds."""

import json
import shlex
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.findings import assert_junit, assert_sarif, check
from tests.support.project import PROGRAM, Project
from tests.support.results import assert_code, assert_error
from upgrader.runner.options import UpgradeOptions

FAR = 4_000_000_000_000


@pytest.fixture
def product(project: Project) -> Project:
    """A changed command, one that is gone, one of the future."""
    project.configure(app_version="1.0.0")
    project.fast("1.0.0", 1, "Changed")
    project.fast("1.0.0", 2, "Gone")
    project.api().upgrade(UpgradeOptions())
    project.fast("1.0.0", 1, "Changed", "SELECT 1")
    (project.commands / "v1_0_0" / "2_gone.py").unlink()
    project.fast("2.0.0", FAR, "Later")
    (project.directory / ".git").mkdir()
    return project


def test_text(product: Project):
    """By file, each with rule and remedy, then the sum."""
    result = product.run_cli("check")
    assert_code(result, 5)
    text = result.stdout
    order = [
        "about no file",
        "commands/v1_0_0/1_changed.py",
        "commands/v2_0_0/4000000000000_later.py",
        "left out:",
    ]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)
    assert "  error: line 7: Changed was completed with other code" in text
    assert "[checksum-changed]" in text
    assert "    -> put the code back" in text
    assert "3 findings (2 errors, 1 warning): " in text


def test_60_columns(product: Project):
    """Only single words and what is to be copied are longer."""
    result = product.run_cli("check", env={"COLUMNS": "60"})
    long = [line for line in result.stdout.splitlines() if len(line) > 60]
    assert all(len(line.split()) <= 2 for line in long), long


def test_json(product: Project):
    """What the text says, for machines."""
    found = check(product, code=5)
    assert found["counts"] == {"error": 2, "warning": 1, "info": 0}
    assert [one["rule"] for one in found["findings"]] == [
        "completed-command-gone",
        "checksum-changed",
        "timestamp-in-the-future",
    ]
    assert product.run_cli("check", "--format", "json").stdout == product.run_cli("check", "--json").stdout


def test_github(product: Project):
    """One workflow command a line, escaped, with paths from the root of the repository."""
    lines = product.run_cli("check", "--format", "github").stdout.splitlines()
    assert [line.partition("::")[2].split(" ")[0] for line in lines[:3]] == ["error", "error", "warning"]
    assert lines[0].startswith("::error title=completed-command-gone::1.0.0_Gone_2 is completed")
    assert lines[1].startswith(
        "::error file=commands/v1_0_0/1_changed.py,line=7,title=checksum-changed::Changed was completed"
    )
    assert "%0Aput the code back" in lines[1]
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)


def test_github_below_the_root(product: Project):
    """From a folder of the repository, paths still begin at its root."""
    (product.directory / ".git").rmdir()
    (product.directory.parent / ".git").mkdir()
    text = product.run_cli("check", "--format", "github").stdout
    assert "file=project/commands/v1_0_0/1_changed.py,line=7," in text


def test_sarif(product: Project):
    """Valid; every result has a rule, a place and a fingerprint that does not move with its line."""
    result = product.run_cli("check", "--format", "sarif")
    assert_code(result, 5)
    run = assert_sarif(result.stdout)
    assert [one["ruleId"] for one in run["results"]] == [
        "completed-command-gone",
        "checksum-changed",
        "timestamp-in-the-future",
    ]
    rules = run["tool"]["driver"]["rules"]
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in run["results"]]
    assert uris[0] == {"uri": "upgrader.toml", "uriBaseId": "%SRCROOT%"}
    assert uris[1] == {"uri": "commands/v1_0_0/1_changed.py", "uriBaseId": "%SRCROOT%"}
    assert run["results"][1]["locations"][0]["physicalLocation"]["region"] == {"startLine": 7}
    assert run["invocations"][0]["toolExecutionNotifications"]
    path = product.commands / "v1_0_0" / "1_changed.py"
    path.write_text("# moved\n\n" + path.read_text())
    moved = assert_sarif(product.run_cli("check", "--format", "sarif").stdout)
    prints = [[one["partialFingerprints"] for one in found["results"]] for found in (run, moved)]
    assert prints[0] == prints[1]
    assert len({json.dumps(one) for one in prints[0]}) == 3
    assert moved["results"][1]["locations"][0]["physicalLocation"]["region"] == {"startLine": 9}


def test_sarif_without_findings(project: Project):
    """An empty run, which closes what was open."""
    project.fast("1.0.0", 1, "Fine")
    result = project.run_cli("check", "--format", "sarif")
    assert_code(result, 0)
    assert assert_sarif(result.stdout)["results"] == []


def test_junit(product: Project, tmp_path: Path):
    """Valid; a test case for each rule, failures inside, what was left out is skipped with its reason."""
    result = product.run_cli("check", "--format", "junit", "--output", "report.xml")
    assert_code(result, 5)
    assert "3 findings" in result.stdout  # people read the log
    path = product.directory / "report.xml"
    assert_junit(path)
    (suite,) = ElementTree.parse(path).getroot()
    cases = {case.get("name"): case for case in suite}
    assert int(suite.get("tests", "")) == len(cases)
    assert suite.get("failures") == "3"
    assert int(suite.get("skipped", "")) == len(suite.findall("testcase/skipped"))
    failure = cases["checksum-changed"].find("failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert "commands/v1_0_0/1_changed.py:7: error: Changed" in (failure.text or "")
    assert list(cases["missing-step"]) == []
    skipped = cases["round-trip"].find("skipped")
    assert skipped is not None
    assert "--embedded" in (skipped.get("message") or "")


def test_junit_of_awkward_text(project: Project):
    """Control characters, quotes and half a surrogate in an author's message are no broken document."""
    text = r"raise ValueError('<&\"\x00\x1b[31m \ud800 \uffff ]]>')"
    project.write("commands/v1/1_raises.py", text)
    result = project.run_cli("check", "--format", "junit", "--output", "report.xml")
    assert_code(result, 5)
    assert_junit(project.directory / "report.xml")
    assert_sarif(project.run_cli("check", "--format", "sarif").stdout)
    (line,) = [
        one for one in project.run_cli("check", "--format", "github").stdout.splitlines() if "::error" in one
    ]
    assert "\x1b" not in line


def test_findings_that_are_told_only(product: Project):
    """`info` is a note, a notice, and no failure."""
    environment = {
        "UPGRADER_CHECK__SEVERITY": '{"checksum-changed":"info","completed-command-gone":"info",'
        '"timestamp-in-the-future":"info"}'
    }
    result = product.run_cli("check", "--format", "junit", "--output", "report.xml", env=environment)
    assert_code(result, 0)
    assert_junit(product.directory / "report.xml")
    assert 'failures="0"' in (product.directory / "report.xml").read_text()
    assert "::error" not in product.run_cli("check", "--format", "github", env=environment).stdout
    run = assert_sarif(product.run_cli("check", "--format", "sarif", env=environment).stdout)
    assert {one["level"] for one in run["results"]} == {"note"}


def test_output_that_cannot_be_written(product: Project):
    """Found before anything runs."""
    assert_error(
        product.run_cli("check", "--output", "absent/report.txt"), 2, "absent/report.txt", "--output"
    )
    assert_error(product.run_cli("check", "--output", "commands"), 2, "commands cannot be written")


def test_output_on_a_full_disk(product: Project):
    """Found when it is written: exit 2 and no traceback."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert_error(product.run_cli("check", "--format", "sarif", "--output", "/dev/full"), 2, "/dev/full")


@pytest.mark.parametrize("format_", ["text", "json", "github", "sarif", "junit"])
def test_pipe_that_is_closed_early(product: Project, format_: str):
    """No traceback and no complaint, and the exit code is that of the check."""
    command = f"{shlex.quote(str(PROGRAM))} check --format {format_} | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=product.directory,
        env=product.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 5
    assert result.stderr == ""


def test_secrets_are_hidden_everywhere(project: Project):
    """A password that an author's code puts into its error is in no format."""
    secret = "hunter" + str(time.time_ns())
    project.configure(database_url=None)
    project.write("commands/v1/1_raises.py", f"raise ValueError('postgresql://app:{secret}@db/app')")
    for format_ in ("text", "json", "github", "sarif", "junit"):
        result = project.run_cli("check", "--format", format_, "--output", "report")
        assert_code(result, 5)
        assert secret not in result.stdout + result.stderr + (project.directory / "report").read_text(), (
            format_
        )


def test_what_commands_print_is_not_data(project: Project):
    """A module that prints while it is imported does not break the document."""
    project.write("commands/v1/1_prints.py", "print('hello')")
    result = project.run_cli("check", "--format", "sarif")
    assert_sarif(result.stdout)
    assert "hello" in result.stderr
