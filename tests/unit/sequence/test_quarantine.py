"""Workspaces that are set aside, in plans."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.sequence.builders import database, done, drawn, options, plan, reasons, refusal, seq, version
from upgrader.model import Quarantine
from upgrader.sequence.contradictions import contradictions
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.quarantined import find_unreleasable
from upgrader.sequence.state import DatabaseState, Member

#   1.0.0 f1 │ w2  ║  1.1.0 f3 │ w4
SEQUENCE = seq("1.0.0 f1 w2 | 1.1.0 f3 w4")
QUARANTINE = Quarantine("its disk is full", "anna", datetime(2026, 1, 1, tzinfo=UTC), "1.1.0")


def aside(state: DatabaseState, *ids: str) -> DatabaseState:
    """Set members aside."""
    return replace(
        state,
        members=[one for one in state.members if one.workspace_id not in ids],
        quarantined=[replace(one, quarantine=QUARANTINE) for one in state.members if one.workspace_id in ids],
    )


def test_it_is_left_alone_and_named() -> None:
    """The others go through both versions, though it is through neither."""
    state = aside(database(done(SEQUENCE, "f1"), a=done(SEQUENCE, "w2"), b=done(SEQUENCE, failed="w2")), "b")
    made = plan(SEQUENCE, state)
    assert drawn(made) == "1.1.0 f3 a:w4"
    (named,) = made.quarantined
    assert (named.workspace_id, named.quarantine, named.misses) == ("b", QUARANTINE, version("1.0.0"))


def test_one_that_misses_nothing_says_so() -> None:
    """It may have been set aside with a view to what comes."""
    state = aside(database(done(SEQUENCE, "f1 f3"), b=done(SEQUENCE, "w2 w4")), "b")
    assert [one.misses for one in plan(SEQUENCE, state).quarantined] == [None]


def test_refusals_do_not_count_it() -> None:
    """Neither that it is not enrolled, nor that it misses a step, nor that it is too old."""
    for progress in (done(SEQUENCE, enrolment=None), done(SEQUENCE, "w4"), done(SEQUENCE)):
        state = aside(database(done(SEQUENCE, "f1 f3"), a=done(SEQUENCE, "w2 w4"), b=progress), "b")
        assert plan(SEQUENCE, state, oldest="1.0.0").refusals == ()


def test_all_of_them_is_no_accident() -> None:
    """Nothing is refused, and a warning says that nothing runs on any workspace."""
    state = aside(database(done(SEQUENCE), a=done(SEQUENCE), b=done(SEQUENCE)), "a", "b")
    out = Member("out", done(SEQUENCE), "DELETED")
    made = plan(SEQUENCE, replace(state, others=[out]))
    assert made.refusals == ()
    assert drawn(made) == "1.0.0 f1 | 1.1.0 f3"
    assert "all workspaces in scope are quarantined (2 workspaces)" in made.warnings[0]


@pytest.mark.parametrize("flags", [{"only": ["b"]}, {"only": ["a", "b"]}, {"start_from": "b"}])
def test_asking_for_it_is_refused(flags: dict[str, object]) -> None:
    """With the reason and how it comes back; another id that is not there is told beside it."""
    state = aside(database(done(SEQUENCE, "f1"), a=done(SEQUENCE), b=done(SEQUENCE)), "b")
    found = refusal(plan(SEQUENCE, state, **flags), RefusalReason.QUARANTINED_WORKSPACE)
    assert found.subjects == ("b",)
    assert "b is quarantined: its disk is full" in found.message
    assert "workspace release b" in found.hint
    both = plan(SEQUENCE, state, only=["b", "nope"])
    assert set(reasons(both)) == {RefusalReason.QUARANTINED_WORKSPACE, RefusalReason.UNKNOWN_WORKSPACE}


def test_a_completed_step_that_is_gone_is_still_gone() -> None:
    """Also where only one that is set aside has completed it."""
    state = aside(database(done(SEQUENCE), a=done(SEQUENCE, gone=["1.0.0_W9_9"])), "a")
    assert RefusalReason.COMPLETED_STEP_GONE in reasons(plan(SEQUENCE, state))


def test_who_is_left_behind_cannot_come_back() -> None:
    """1.0.0 was pruned: one that is through it may come back, one that is not names the version it needs."""
    pruned = seq("1.1.0 f3 w4")
    instance = done(SEQUENCE, "f1 f3", through="1.1.0")
    state = database(
        instance,
        a=done(SEQUENCE, "w2 w4", through="1.1.0"),
        b=done(SEQUENCE, "w2", through="1.0.0"),
        c=done(SEQUENCE, failed="w2"),
    )
    state = aside(state, "b", "c")
    assert find_unreleasable(pruned, state, options(), workspace_ids={"b"}) == ()
    (found,) = find_unreleasable(pruned, state, options(), workspace_ids={"b", "c"})
    assert found.subjects == ("c",)
    assert "not at 1.0.0 yet" in found.message
    assert "upgrade to 1.0.0 first" in found.hint


@pytest.mark.parametrize(
    ("completed", "given", "against"),
    [
        ("", {}, None),
        ("w2", {"failed": ""}, None),
        ("", {"failed": "w2"}, None),
        ("", {"enrolment": "1.0.0"}, None),
        ("", {"enrolment": "1.1.0"}, "marked at 1.1.0"),
        ("w2 w4", {}, "completed 1.1.0_W4_4"),
        ("", {"failed": "w4"}, "tried 1.1.0_W4_4 (failed)"),
        ("", {"reverted": "w2"}, "took 1.0.0_W2_2 back"),
        ("", {"reverted": "w4"}, None),
        ("w4", {"enrolment": "1.1.0"}, "marked at 1.1.0; completed 1.1.0_W4_4"),
    ],
)
def test_what_speaks_against_a_baseline(completed: str, given: dict[str, str], against: str | None) -> None:
    """1.0.0 is what the scope is said to be at."""
    assert contradictions(version("1.0.0"), done(SEQUENCE, completed, **given)) == against  # type: ignore[arg-type]  # by name
