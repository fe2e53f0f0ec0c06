"""Which exit code an error or an outcome has."""

import pytest

from upgrader import errors
from upgrader.cli import exit_codes
from upgrader.model import Outcome


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.OperatorError(), 2),
        (errors.SettingsError(), 2),
        (errors.LoadingError([]), 2),
        (errors.DatabaseUnavailableError(), 2),
        (errors.RefusedError(), 2),
        (errors.LockHeldError(), 3),
        (errors.RunSupersededError(), 1),
        (errors.ConnectionLostError(), 1),
        (errors.StepError(), 1),
        (ValueError("no sense"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_has_the_code_of_its_class(error: BaseException, code: int) -> None:
    assert exit_codes.of_error(error) == code


@pytest.mark.parametrize(
    ("outcome", "signal_name", "code"),
    [
        (Outcome.DONE, None, 0),
        (Outcome.FAILED, None, 1),
        (Outcome.FAILED, "SIGINT", 1),
        (Outcome.REFUSED, None, 2),
        (Outcome.STOPPED_AT_BARRIER, None, 4),
        (Outcome.INTERRUPTED, "SIGINT", 130),
        (Outcome.INTERRUPTED, "SIGTERM", 143),
        (Outcome.INTERRUPTED, None, 130),
    ],
)
def test_a_run_has_the_code_of_its_outcome(outcome: Outcome, signal_name: str | None, code: int) -> None:
    assert exit_codes.of_outcome(outcome, signal_name) == code


def test_every_outcome_has_a_code() -> None:
    assert {exit_codes.of_outcome(outcome) for outcome in Outcome} == {0, 1, 2, 4, 130}


def test_what_never_began_has_a_word_for_its_json() -> None:
    assert [exit_codes.word(code) for code in (2, 3, 70, 143)] == ["refused", "locked", "bug", "interrupted"]
