"""What a progress comes to."""

import pytest

from tests.unit.sequence.builders import done, full_name, seq, tokens
from upgrader.status.standing import Standings, Yardstick, last_completed
from upgrader.version import ApplicationVersion

#   1.0.0 f1 s2 │ w3  ║  1.1.0 f5 │ w6  ║  1.2.0 w9
SEQUENCE = seq("1.0.0 f1 s2 w3 | 1.1.0 f5 w6 | 1.2.0 w9")
YARDSTICK = Yardstick(SEQUENCE, ApplicationVersion.parse("1.1.0"))


def test_a_standing_tells_version_last_step_and_what_is_pending() -> None:
    standing = YARDSTICK.measure(done(SEQUENCE, "f1", failed="f5"), workspace=False)
    assert str(standing.inferred_version) == "1.0.0"
    assert standing.last_step == full_name("1.0.0", "f1")
    assert tokens(standing.pending) == "s2 f5"
    assert standing.failed_names == (full_name("1.1.0", "f5"),)
    assert standing.enrolled_at == "start"


def test_scopes_that_share_a_progress_are_measured_once() -> None:
    standings, progress = Standings(YARDSTICK), done(SEQUENCE, "w3")
    assert standings.of(progress) is standings.of(progress)
    assert standings.of(progress).pending_count == 1


@pytest.mark.parametrize(
    ("completed", "gone", "expected"),
    [
        ("", [], None),
        ("f1 s2", [], "1.0.0_S2_2"),
        ("f5 f1", [], "1.1.0_F5_5"),
        ("w3 w9", [], "1.2.0_W9_9"),
        ("w3", ["0.9.0_Pruned_7"], "1.0.0_W3_3"),
        ("", ["0.9.0_Pruned_7", "0.9.0_Pruned_8"], "0.9.0_Pruned_8"),
        ("w3", ["1.10.0_RolledBack_7", "no version"], "1.10.0_RolledBack_7"),
    ],
)
def test_the_last_step_stands_last_in_the_sequence(
    completed: str, gone: list[str], expected: str | None
) -> None:
    """Not the one that ran last: a missing step that was made up for does not move a scope back."""
    assert last_completed(SEQUENCE, done(SEQUENCE, completed, gone=gone)) == expected
