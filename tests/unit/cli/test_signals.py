"""The first signal asks, the second cancels, the third ends; afterwards everything is as it was."""

import os
import signal
import subprocess
import sys

import pytest

from upgrader.cli.signals import ending_on_terminate, stopping_on_signals
from upgrader.errors import Terminated
from upgrader.runner.stop import HardStop, StopToken


def test_the_first_signal_asks_the_run_to_stop(capfd: pytest.CaptureFixture[str]) -> None:
    stop = StopToken()
    with stopping_on_signals(stop, lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert (stop.signal_name, stop.hard) == ("SIGTERM", False)
    assert "once more to cancel it" in capfd.readouterr().err


def test_the_second_signal_cancels_and_breaks_off() -> None:
    stop, cancelled = StopToken(), []
    with stopping_on_signals(stop, lambda: cancelled.append(True)):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(HardStop):
            os.kill(os.getpid(), signal.SIGTERM)
    assert cancelled == [True]
    assert (stop.signal_name, stop.hard) == ("SIGINT", True)


def test_a_cancellation_that_fails_changes_nothing() -> None:
    def fail() -> None:
        raise OSError("no server")

    stop = StopToken()
    with stopping_on_signals(stop, fail):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(HardStop):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_third_signal_ends_at_once() -> None:
    program = (
        "import os, signal\n"
        "from upgrader.cli.signals import stopping_on_signals\n"
        "from upgrader.runner.stop import HardStop, StopToken\n"
        "with stopping_on_signals(StopToken(), lambda: None):\n"
        "    for _ in range(3):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        except HardStop:\n"
        "            pass\n"
        "print('not ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "")


def test_the_handlers_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ending_on_terminate(), stopping_on_signals(StopToken(), lambda: None):
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_ignores_a_signal_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping_on_signals(StopToken(), lambda: None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_terminated_program_ends_through_its_finally_blocks() -> None:
    with pytest.raises(Terminated), ending_on_terminate():
        os.kill(os.getpid(), signal.SIGTERM)
