"""What drives a walk where nothing is measured."""

from upgrader.backfill.control import BackfillProgress, FixedPacer, OpenGovernor, Verdict
from upgrader.command import CommandKind
from upgrader.model import INSTANCE, Step
from upgrader.version import ReleaseVersion

STEP = Step("1.0.0_Fill_1", CommandKind.SLOW, ReleaseVersion.parse("1.0.0"), 1, "Fill")
PROGRESS = BackfillProgress(STEP, INSTANCE, "core.invoice", 1, 4711, "core.invoice", 0, None, 0, 100)


def test_a_fixed_pace_is_halved_by_failures_and_comes_back():
    """Each failure halves the batch, down to one row; a success brings the full size back."""
    pacer = FixedPacer(size=3)
    assert pacer.rows == 3
    assert pacer.failed("lock timeout")
    assert pacer.rows == 1
    assert pacer.failed("lock timeout")
    assert pacer.rows == 1
    pacer.succeeded(rows=1, seconds=0.5)
    assert (pacer.rows, pacer.rows_per_second) == (3, 2.0)


def test_a_fixed_pace_gives_up_after_failures_in_a_row():
    """The failures are counted since the last success."""
    pacer = FixedPacer(size=8, tries=2)
    assert pacer.failed("deadlock")
    pacer.succeeded(rows=4, seconds=1)
    assert pacer.failed("deadlock")
    assert not pacer.failed("deadlock")


def test_an_open_governor_only_heeds_the_stop():
    """Every batch may run until the run is asked to stop."""
    asked = [False, True]
    governor = OpenGovernor(lambda _: asked.pop(0))
    assert governor.before_batch(PROGRESS) is Verdict.PROCEED
    assert governor.before_batch(PROGRESS) is Verdict.STOP
