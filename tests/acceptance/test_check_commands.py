"""`upgrader check` on the commands alone: what needs no database, and which rules run."""

import time

import pytest

from tests.support.findings import check, of_rule, reasons
from tests.support.project import Project
from tests.support.results import assert_code, assert_error

HEAD = "from upgrader import instance_command, workspace_command\n\n\n"
DAY = 86_400_000


@pytest.fixture
def offline(project: Project) -> Project:
    """A project that names no database."""
    project.configure(database_url=None)
    return project


def now() -> int:
    return int(time.time() * 1000)


def test_nothing_is_wrong(offline: Project):
    """Exit 0, and what could not be looked at is named with what to type."""
    offline.fast("1.0.0", 1, "Fine")
    result = offline.run_cli("check")
    assert_code(result, 0)
    assert "nothing found" in result.stdout
    assert (
        "left out: below-baseline, checksum-changed, completed-command-gone, missing-step: no"
        in result.stdout
    )
    assert "database_url" in result.stdout
    assert result.stderr == ""


def test_loading_problems(offline: Project):
    """Each at its file and line with its remedy; nothing else runs then, and that is said."""
    offline.write("commands/v1/1_syntax.py", "x = 1\ndef (")
    offline.write("commands/v1/2_import.py", "import no_such_library_at_all")
    offline.write("commands/v1/4_empty.py", "")
    found = check(offline, code=5)
    told = {(one["file"], one["line"]) for one in of_rule(found, "loading-problem")}
    assert told == {
        ("commands/v1/1_syntax.py", 2),
        ("commands/v1/2_import.py", 1),
        ("commands/v1/4_empty.py", None),
    }
    assert all(one["message"] and one["remedy"] and one["severity"] == "error" for one in found["findings"])
    assert set(found["ran"]) == {"loading-problem", "collision"}
    assert "mend that first" in reasons(found)["checksum-changed"]


def test_no_commands_at_all(offline: Project):
    """A directory that is not there is a finding about no file."""
    offline.configure(commands=["absent/commands"])
    (finding,) = of_rule(check(offline, code=5), "loading-problem")
    assert (finding["file"], finding["line"]) == (None, None)
    assert "absent/commands" in finding["message"]


def test_collisions(offline: Project):
    """One finding for each, which names the other places."""
    offline.fast("1.0.0", 7, "One")
    offline.fast("1.0.0", 7, "Two")
    for version, number, name in (("1.0.0", 8, "Same"), ("1.1.0", 9, "Other")):
        head = f"@workspace_command({version!r}, {number}, name='same')\nclass {name}:\n"
        body = "    def run_on_workspace(self, ctx): ...\n"
        offline.write(f"commands/v{version.replace('.', '_')}/{number}_{name.lower()}.py", HEAD + head + body)
    found = of_rule(check(offline, code=5), "collision")
    assert len(found) == 2
    timestamps, names = sorted(found, key=lambda one: "command-line" in one["message"])
    assert timestamps["file"] == "commands/v1_0_0/7_one.py"
    assert "commands/v1_0_0/7_two.py:" in timestamps["message"]
    assert "commands/v1_1_0/9_other.py:" in names["message"]


def test_loading_fails_and_nobody_asked(offline: Project):
    """What was asked for cannot be done: that is no clean result, but exit 2."""
    offline.write("commands/v1/1_syntax.py", "def (")
    result = offline.run_cli("check", "--select", "timestamp-in-the-future")
    assert_error(result, 2, "1_syntax.py:1", "mend")
    assert_error(offline.run_cli("check", "--ignore", "loading-problem"), 2, "1_syntax.py:1")


@pytest.mark.parametrize(("ahead", "is_found"), [(0, False), (DAY - 60_000, False), (DAY + 60_000, True)])
def test_timestamp_in_the_future(offline: Project, ahead: int, is_found: bool):
    """A day of slack; it is a warning, and closes the gate."""
    offline.fast("1.0.0", now() + ahead, "Later")
    found = check(offline, code=5 if is_found else 0)
    assert bool(of_rule(found, "timestamp-in-the-future")) is is_found
    for finding in found["findings"]:
        assert (finding["severity"], finding["file"]) == ("warning", offline_file(offline))


def offline_file(project: Project) -> str:
    (path,) = project.commands.rglob("*.py")
    return str(path.relative_to(project.directory))


@pytest.mark.parametrize(
    ("timestamp", "is_found"),
    [(20251122093000, False), (29991122093000, True), (2**63 - 1, True), (1, False)],
)
def test_timestamp_in_another_form(offline: Project, timestamp: int, is_found: bool):
    """Fourteen digits of a date are read as one; the largest number of all is no crash."""
    offline.fast("1.0.0", timestamp, "Dated")
    found = check(offline, code=5 if is_found else 0)
    assert bool(of_rule(found, "timestamp-in-the-future")) is is_found


def test_release_that_is_out(offline: Project):
    """What was written after it, into it or below it; later versions and earlier commands are fine."""
    offline.configure(released_version="1.1.0", released_at="2026-01-01T00:00:00Z")
    offline.fast("1.1.0", 1767225599000, "InTime")
    offline.fast("1.1.0", 1767225601000, "TooLate")
    offline.workspace("1.0.0", 1767225602000, "FarTooLate")
    offline.fast("1.1.1", 1767225603000, "Hotfix")
    found = of_rule(check(offline, code=5), "released-version-changed")
    assert {one["step"] for one in found} == {"1.1.0_TooLate_1767225601000", "1.0.0_FarTooLate_1767225602000"}
    assert all("above 1.1.0" in one["remedy"] for one in found)


def test_release_whose_day_is_known(offline: Project):
    """A date alone is the whole of that day."""
    offline.configure(released_version="1.1.0", released_at="2026-01-01")
    offline.fast("1.1.0", 1767311999000, "ThatDay")
    assert check(offline)["good"]
    offline.fast("1.1.0", 1767312001000, "NextDay")
    assert of_rule(check(offline, code=5), "released-version-changed")


def test_release_without_its_time(offline: Project):
    """Without a database, too, nothing can be told: left out, with what is missing."""
    offline.fast("1.0.0", 1, "Fine")
    assert "released_version is not set" in reasons(check(offline))["released-version-changed"]
    offline.configure(released_version="1.0.0")
    assert "released_at" in reasons(check(offline))["released-version-changed"]
    offline.configure(released_version=None, released_at="2026-01-01")
    assert_error(offline.run_cli("check"), 2, "released_at", "released_version")


def test_select_and_ignore(offline: Project):
    """Flags and settings: a flag's selection replaces, what is ignored adds up and wins."""
    offline.fast("1.0.0", now() + 2 * DAY, "Later")
    assert check(offline, "--select", "collision")["ran"] == ["collision"]
    assert check(offline, "--ignore", "timestamp-in-the-future")["good"]
    two = check(
        offline, "--select", "collision,timestamp-in-the-future", "--select", "loading-problem", code=5
    )
    assert two["ran"] == ["loading-problem", "collision", "timestamp-in-the-future"]
    assert two["left_out"] == []
    offline.configure(check={"select": ["collision", "timestamp-in-the-future"], "ignore": ["collision"]})
    assert check(offline, code=5)["ran"] == ["timestamp-in-the-future"]
    assert check(offline, "--select", "collision,loading-problem")["ran"] == ["loading-problem"]
    assert check(offline, "--ignore", "timestamp-in-the-future")["ran"] == []


def test_severities(offline: Project):
    """From the settings and the environment; `info` is told and leaves the gate open."""
    offline.fast("1.0.0", now() + 2 * DAY, "Later")
    offline.configure(check={"ignore": []})
    with (offline.directory / "upgrader.toml").open("a") as file:
        file.write('severity = {timestamp-in-the-future = "info"}\n')
    found = check(offline)
    assert found["counts"] == {"error": 0, "warning": 0, "info": 1}
    assert [one["severity"] for one in found["findings"]] == ["info"]
    severe = check(offline, code=5, UPGRADER_CHECK__SEVERITY='{"timestamp-in-the-future": "error"}')
    assert severe["counts"]["error"] == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--select", "chcksum-changed"), ("'chcksum-changed'", "checksum-changed?")),
        (
            ("--ignore", "collision,require-concurrent-index-creatoin"),
            ("require-concurrent-index-creation?",),
        ),
        (("--select", "zzz"), ("'zzz'", "the rules are")),
        (("--format", "xml"), ("xml",)),
    ],
)
def test_what_nobody_knows(offline: Project, flags: tuple[str, ...], words: tuple[str, ...]):
    """Exit 2 with the nearest name."""
    offline.fast("1.0.0", 1, "Fine")
    assert_error(offline.run_cli("check", *flags), 2, *words)


def test_unknown_rule_in_the_settings(offline: Project):
    """In each of the three places, and as JSON where that is asked for."""
    for check_settings in ({"select": ["colision"]}, {"ignore": ["colision"]}):
        offline.configure(check=check_settings)
        assert_error(offline.run_cli("check"), 2, "collision?")
    environment = {"UPGRADER_CHECK__IGNORE": "", "UPGRADER_CHECK__SEVERITY": '{"colision": "info"}'}
    offline.configure(check=None)
    result = offline.run_cli("check", "--format", "json", env=environment)
    assert_error(result, 2, "collision?")
    assert '"hint": "did you mean collision?"' in result.stdout


def test_the_group_of_squawk(offline: Project):
    """One name for all of its rules."""
    offline.fast("1.0.0", 1, "Fine")
    with_squawk, without = check(offline), check(offline, "--ignore", "squawk")
    gone = reasons(with_squawk).keys() - reasons(without).keys()
    assert {"ban-drop-column", "prefer-text-field"} <= gone
    assert "unused-ignore" not in gone
    assert reasons(check(offline, "--select", "squawk")).keys() == gone
