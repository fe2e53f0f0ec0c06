"""Why nothing may run: not enrolled, ahead, gone; and that all reasons are given at once."""

from tests.unit.sequence.builders import database, done, drawn, full_name, plan, reasons, refusal, seq
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.state import Member

SEQUENCE = seq("1.0.0 f1 w2 | 1.1.0 f3 w4")


def test_workspaces_that_are_not_enrolled_refuse_the_plan() -> None:
    """With both ways explained. Who is out of scope does not count."""
    unknown = done(SEQUENCE, enrolment=None)
    state = database(done(SEQUENCE), a=unknown, b=done(SEQUENCE), c=unknown, others=[Member("d", unknown)])
    found = refusal(plan(SEQUENCE, state), RefusalReason.UNENROLLED_WORKSPACES)
    assert found.subjects == ("a", "c")
    assert found.message == "2 workspaces are not enrolled: a, c"
    assert "upgrader workspace enroll a --at start" in found.hint
    assert "upgrader workspace enroll a --at VERSION" in found.hint


def test_apply_all_enrols_them_at_the_beginning() -> None:
    made = plan(SEQUENCE, database(done(SEQUENCE), a=done(SEQUENCE, enrolment=None)), unenrolled_run_all=True)
    assert reasons(made) == []
    assert drawn(made) == "1.0.0 f1 a:w2 | 1.1.0 f3 a:w4"


def test_ahead_with_nothing_pending_is_a_warning() -> None:
    """The code was rolled back to 1.0.0."""
    state = database(done(SEQUENCE, "f1 f3"), a=done(SEQUENCE, "w2 w4"))
    made = plan(SEQUENCE, state, "1.0.0")
    assert made.is_empty
    assert reasons(made) == []
    assert made.warnings == (
        "the database is ahead of app_version 1.0.0: 2 completed steps of later versions: "
        "1.1.0_F3_3, 1.1.0_W4_4",
    )


def test_ahead_with_something_pending_is_refused() -> None:
    """Unless it is allowed. The code need not have the later steps any more."""
    ahead = done(SEQUENCE, "f1", gone=[full_name("1.7.0", "f9")])
    state = database(ahead, a=done(SEQUENCE))
    made = plan(SEQUENCE, state, "1.0.0")
    assert reasons(made) == [RefusalReason.AHEAD]
    found = refusal(made, RefusalReason.AHEAD)
    assert found.subjects == ("1.7.0_F9_9",)
    assert "1.7.0" in found.hint
    assert "--allow-ahead" in found.hint
    allowed = plan(SEQUENCE, state, "1.0.0", allow_ahead=True)
    assert reasons(allowed) == []
    assert drawn(allowed) == "1.0.0 a:w2"
    assert len(allowed.warnings) == 1


def test_ahead_with_deferred_slow_steps_only_is_a_warning() -> None:
    """Nothing would run; with --include-slow something would."""
    sequence = seq("1.0.0 s1 | 1.1.0 f2")
    state = database(done(sequence, "f2"))
    assert reasons(plan(sequence, state, "1.0.0")) == []
    assert reasons(plan(sequence, state, "1.0.0", include_slow=True)) == [RefusalReason.AHEAD]


def test_ahead_compares_three_numbers() -> None:
    """A pre-release of the application covers its release."""
    state = database(done(SEQUENCE, "f1 f3"), a=done(SEQUENCE, "w2 w4"))
    assert plan(SEQUENCE, state, "1.1.0rc1").warnings == ()


def test_a_completed_step_that_the_code_lost_is_refused() -> None:
    """Between the lowest version loaded and `app_version`, in any scope."""
    instance = done(
        SEQUENCE, "f1", gone=[full_name("1.0.0", "f8"), full_name("0.9.0", "f7")], through="0.9.0"
    )
    member = done(SEQUENCE, gone=[full_name("1.1.0", "w9")], through="0.9.0")
    made = plan(SEQUENCE, database(instance, a=member), "1.1.0", run_missing=True)
    assert reasons(made) == [RefusalReason.COMPLETED_STEP_GONE]
    found = refusal(made, RefusalReason.COMPLETED_STEP_GONE)
    assert found.subjects == ("1.0.0_F8_8", "1.1.0_W9_9")


def test_a_completed_name_without_a_version_is_left_out_with_a_warning() -> None:
    made = plan(SEQUENCE, database(done(SEQUENCE, gone=["by hand", "x_Y_1"]), a=done(SEQUENCE)))
    assert reasons(made) == []
    assert made.warnings == ("completed names that carry no version are left out of account: by hand, x_Y_1",)


def test_all_reasons_are_given_at_once() -> None:
    """And the plan says what would run without them."""
    sequence = seq("1.0.0 f1 f2 w3 | 1.1.0 f4")
    instance = done(sequence, "f2 f4", gone=[full_name("1.0.0", "f9")])
    state = database(instance, a=done(sequence, enrolment=None))
    made = plan(sequence, state, "1.0.0", only=["b"], oldest="1.0.0")
    assert reasons(made) == [
        RefusalReason.UNKNOWN_WORKSPACE,
        RefusalReason.MISSING_STEPS,
        RefusalReason.UNENROLLED_WORKSPACES,
        RefusalReason.AHEAD,
        RefusalReason.COMPLETED_STEP_GONE,
        RefusalReason.UNSUPPORTED_VERSION,
    ]
    assert all(one.message and one.hint and one.subjects for one in made.refusals)
    assert drawn(plan(sequence, state, "1.0.0")) == "1.0.0 f1 a:w3"
