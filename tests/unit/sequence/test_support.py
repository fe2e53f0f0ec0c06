"""Too old for the commands that the code still carries, or for `oldest_supported`."""

from tests.unit.sequence.builders import database, done, full_name, plan, reasons, refusal, seq
from upgrader.sequence.plan import RefusalReason

#   what was pruned │ what is loaded
#   1.0.0   1.1.0   │  1.2.0 f1 w2  ║  1.3.0 f3
SEQUENCE = seq("1.2.0 f1 w2 | 1.3.0 f3")
AT_1_1 = done(SEQUENCE, through="1.1.0")
UNSUPPORTED = RefusalReason.UNSUPPORTED_VERSION


def test_a_scope_behind_the_version_before_the_lowest_is_refused() -> None:
    """`late` stands at 1.0.0, and the commands of 1.1.0 are gone."""
    state = database(AT_1_1, late=done(SEQUENCE, through="1.0.0"), x=AT_1_1)
    made = plan(SEQUENCE, state)
    assert reasons(made) == [UNSUPPORTED]
    found = refusal(made, UNSUPPORTED)
    assert found.subjects == ("late",)
    assert "workspace late" in found.message
    assert "upgrade to 1.1.0 first with a release that still carries its commands" in found.hint


def test_the_instance_is_refused_like_a_workspace() -> None:
    """A completed step is a trace of its version; nothing recorded it as finished."""
    state = database(done(SEQUENCE, gone=[full_name("1.1.0", "f9")], through="1.0.0"), x=AT_1_1)
    assert refusal(plan(SEQUENCE, state), UNSUPPORTED).subjects == ("instance",)


def test_an_enrolment_at_the_beginning_is_refused_where_there_was_something_before() -> None:
    """So nothing is lost in silence."""
    state = database(AT_1_1, new=done(SEQUENCE))
    assert refusal(plan(SEQUENCE, state), UNSUPPORTED).subjects == ("new",)


def test_an_enrolment_at_or_above_that_version_is_fine() -> None:
    state = database(AT_1_1, a=done(SEQUENCE, enrolment="1.1.0"), b=done(SEQUENCE, enrolment="1.2.0"))
    assert reasons(plan(SEQUENCE, state)) == []


def test_a_workspace_made_by_a_release_without_commands_is_no_measure_for_the_others() -> None:
    """1.1.7 had no commands: nobody else ever reached it."""
    assert reasons(plan(SEQUENCE, database(AT_1_1, new=done(SEQUENCE, enrolment="1.1.7"), x=AT_1_1))) == []


def test_a_baseline_of_the_instance_is_a_measure() -> None:
    """The database was adopted at 1.1.0: what is enrolled at the beginning lacks all of that."""
    state = database(done(SEQUENCE, enrolment="1.1.0"), new=done(SEQUENCE))
    assert refusal(plan(SEQUENCE, state), UNSUPPORTED).subjects == ("new",)


def test_a_database_without_history_is_fine() -> None:
    """It counts as just below the lowest version loaded."""
    new = done(SEQUENCE)
    assert reasons(plan(SEQUENCE, database(new, x=new))) == []


def test_apply_all_does_not_hide_what_was_pruned() -> None:
    """A workspace that is not enrolled counts as at the beginning."""
    state = database(AT_1_1, new=done(SEQUENCE, enrolment=None))
    assert reasons(plan(SEQUENCE, state)) == [RefusalReason.UNENROLLED_WORKSPACES]
    assert reasons(plan(SEQUENCE, state, unenrolled_run_all=True)) == [UNSUPPORTED]


def test_without_anything_loaded_nothing_is_refused() -> None:
    sequence = seq("")
    state = database(done(sequence, through="1.1.0"), x=done(sequence))
    assert reasons(plan(sequence, state, oldest="2.0.0")) == []


def test_below_oldest_supported_is_refused() -> None:
    """Though the commands are loaded still."""
    state = database(done(SEQUENCE, "f1", through="1.2.0"), x=AT_1_1)
    made = plan(SEQUENCE, state, oldest="1.2.0")
    found = refusal(made, UNSUPPORTED)
    assert found.subjects == ("x",)
    assert "oldest_supported is 1.2.0" in found.message
    assert "upgrade to 1.2.0 first" in found.hint


def test_oldest_supported_and_a_database_without_history() -> None:
    """Just below 1.2.0 is below 1.2.0, and not below 1.1.0."""
    new = done(SEQUENCE)
    state = database(new, x=new)
    assert refusal(plan(SEQUENCE, state, oldest="1.2.0"), UNSUPPORTED).subjects == ("instance", "x")
    assert reasons(plan(SEQUENCE, state, oldest="1.1.0")) == []


def test_oldest_supported_may_be_a_release_without_commands() -> None:
    """Nothing up to 1.2.5 is pending: a scope through 1.2.0 is not below it."""
    at_1_2 = done(SEQUENCE, "f1", through="1.2.0")
    state = database(at_1_2, x=done(SEQUENCE, "w2", through="1.2.0"))
    assert reasons(plan(SEQUENCE, state, oldest="1.2.5")) == []
    assert refusal(plan(SEQUENCE, state, oldest="1.3.0"), UNSUPPORTED).subjects == ("instance",)


def test_what_a_killed_run_did_not_record_counts_all_the_same() -> None:
    """Everything of 1.2.0 is completed, and nothing says so but the steps."""
    state = database(done(SEQUENCE, "f1"), x=done(SEQUENCE, "w2"))
    assert reasons(plan(SEQUENCE, state, oldest="1.2.0")) == []


def test_each_scope_is_refused_once() -> None:
    """With the version that it must go to first."""
    state = database(AT_1_1, late=done(SEQUENCE, through="1.0.0"))
    made = plan(SEQUENCE, state, oldest="1.2.0")
    assert [one.subjects for one in made.refusals] == [("late",), ("instance",)]
