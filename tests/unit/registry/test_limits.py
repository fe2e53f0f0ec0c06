"""Timeouts that a command's decorator overrides."""

from pathlib import Path

import pytest

from tests.unit.registry.authoring import places, problems_in
from upgrader.model import NO_OVERRIDES, TIMEOUT_NAMES, StepTimeouts
from upgrader.registry import instance_command, registry_of, workspace_command

FILE = """\
from upgrader.registry import instance_command, workspace_command


@{decorator}("1.0.0", 1{arguments})
class X:
    def {method}(self, argument): ...
"""


def file(arguments: str, *, decorator: str = "instance_command") -> dict[str, str]:
    method = "up" if decorator == "instance_command" else "run_on_workspace"
    return {"a.py": FILE.format(decorator=decorator, arguments=arguments, method=method)}


def test_none_is_the_setting():
    """A command that says nothing overrides nothing; all say it with one value."""

    @instance_command("1.0.0", 1)
    class X:
        def up(self, connection): ...

    (step,) = registry_of([X]).sequence
    assert step.timeouts is NO_OVERRIDES


def test_both_decorators_take_them():
    """They are carried on the step; 0 stays 0."""

    @instance_command(
        "1.0.0",
        1,
        lock_timeout_seconds=0.5,
        lock_tries=3,
        statement_timeout_seconds=0,
        idle_in_transaction_session_timeout_seconds=2_000_000,
    )
    class A:
        def up(self, connection): ...

    @workspace_command("1.0.0", 2, transactional=False, concurrent_wait_seconds=60, lock_timeout_seconds=0)
    class B:
        def run_on_workspace(self, ctx): ...

    first, second = registry_of([A, B]).sequence
    assert first.timeouts == StepTimeouts(
        lock_timeout_seconds=0.5,
        lock_tries=3,
        statement_timeout_seconds=0,
        idle_in_transaction_session_timeout_seconds=2_000_000,
    )
    assert second.timeouts == StepTimeouts(concurrent_wait_seconds=60, lock_timeout_seconds=0)


@pytest.mark.parametrize("decorator", ["instance_command", "workspace_command"])
@pytest.mark.parametrize(
    "value", ["-1", "'5'", "True", "float('nan')", "float('inf')", "0.0001", "2_000_001", "[]"]
)
def test_what_is_no_number_of_seconds(tmp_path: Path, decorator: str, value: str):
    """Told with the place of the decorator and what to write."""
    arguments = f", statement_timeout_seconds={value}"
    (problem,) = problems_in(tmp_path / "commands", file(arguments, decorator=decorator))
    assert "statement_timeout_seconds=" in problem.message
    assert places(problem) == ["a.py:4"]
    assert problem.remedy == "write a number of seconds: 0 for none, or from 0.001 to 2,000,000"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "True", "'3'", "1_000_001"])
def test_what_is_no_number_of_tries(tmp_path: Path, value: str):
    """At least one."""
    (problem,) = problems_in(tmp_path / "commands", file(f", lock_tries={value}"))
    assert "has lock_tries=" in problem.message
    assert problem.remedy == "write a whole number: from 1 to 1,000,000"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (", transactional=False, lock_tries=3", "lock_tries and transactional=False"),
        (", concurrent_wait_seconds=3", "concurrent_wait_seconds but runs in a transaction"),
    ],
)
def test_what_would_have_no_effect(tmp_path: Path, arguments: str, message: str):
    """Is refused, so that nobody relies on it."""
    (problem,) = problems_in(tmp_path / "commands", file(arguments))
    assert message in problem.message


def test_all_problems_at_once(tmp_path: Path):
    """One wrong value hides no other."""
    wrong = "".join(f", {name}=-1" for name in TIMEOUT_NAMES)
    assert len(problems_in(tmp_path / "commands", file(wrong))) == len(TIMEOUT_NAMES)
