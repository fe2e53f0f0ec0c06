"""What holds of every plan, for random sequences and histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sequence.builders import seq, version
from tests.unit.sequence.simulation import Simulation, positions
from upgrader.model import AttemptStatus, Enrolment, Progress, Quarantine
from upgrader.sequence.plan import PlanOptions, RefusalReason, Selection, StopReason
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member, Source
from upgrader.version import ApplicationVersion

VERSIONS = ["1.0.0", "1.1.0rc1", "1.1.0", "1.2.0", "1.3.0"]
WORKSPACES = ["a", "b", "c", "d"]
QUARANTINE = Quarantine("broken", "somebody", datetime(2026, 1, 1, tzinfo=UTC), "1.0.0")
OFTEN = settings(max_examples=200, deadline=None)
SOMETIMES = settings(max_examples=80, deadline=None)


@st.composite
def sequences(draw: st.DrawFn) -> StepSequence:
    numbers = iter(range(1, 100))
    parts = []
    for text in draw(st.lists(st.sampled_from(VERSIONS), unique=True, max_size=4)):
        kinds = draw(st.lists(st.sampled_from("fswa"), max_size=5))
        parts.append(" ".join([text, *(f"{kind}{next(numbers)}" for kind in kinds)]))
    return seq(" | ".join(parts))


@st.composite
def progresses(draw: st.DrawFn, sequence: StepSequence, *, workspace: bool) -> Progress:
    """Give any history of a scope, likely or not."""
    own = [step.name for step in sequence if step.is_workspace is workspace]
    statuses = st.sampled_from([None, "completed", "completed", "failed", "skipped", "reverted"])
    history = {name: draw(statuses) for name in own}
    marks = [None, None, None, *(part.version for part in sequence.versions)]
    return Progress(
        enrolment=Enrolment(draw(st.sampled_from(marks))),
        completed=frozenset(name for name, status in history.items() if status == "completed"),
        open={
            name: AttemptStatus(status)
            for name, status in history.items()
            if status in ("failed", "skipped", "reverted")
        },
        through=draw(st.sampled_from(marks)),
    )


@st.composite
def states(draw: st.DrawFn, sequence: StepSequence) -> DatabaseState:
    shared = draw(st.lists(progresses(sequence, workspace=True), min_size=1, max_size=3))
    ids = draw(st.lists(st.sampled_from(WORKSPACES), unique=True))
    aside = draw(st.sets(st.sampled_from(WORKSPACES), max_size=2))
    everybody = [
        Member(one, draw(st.sampled_from(shared)), "ACTIVE", QUARANTINE if one in aside else None)
        for one in ids
    ]
    return DatabaseState(
        draw(progresses(sequence, workspace=False)),
        [member for member in everybody if member.quarantine is None],
        quarantined=[member for member in everybody if member.quarantine is not None],
    )


@st.composite
def wishes(draw: st.DrawFn, *, filtered_among: list[str] | None = None) -> PlanOptions:
    """Give options under which no history is refused for what it misses."""
    selection = Selection()
    if filtered_among is not None:
        ids = draw(st.lists(st.sampled_from(filtered_among), unique=True)) if filtered_among else []
        selection = Selection(tuple(ids), None, draw(st.integers(0 if ids else 1, 4)))
    return PlanOptions(
        ApplicationVersion.parse(draw(st.sampled_from(["1.0.0", "1.1.0", "1.2.0.dev1", "1.9.0"]))),
        to=draw(st.none() | st.sampled_from(VERSIONS).map(version)),
        include_slow=draw(st.booleans()),
        defer_slow=draw(st.booleans()),
        run_missing=True,
        allow_ahead=True,
        selection=selection,
    )


@st.composite
def cases(draw: st.DrawFn, *, is_filtered: bool = False) -> tuple[StepSequence, DatabaseState, PlanOptions]:
    sequence = draw(sequences())
    state = draw(states(sequence))
    ids = [member.workspace_id for member in state.members]
    return sequence, state, draw(wishes(filtered_among=ids if is_filtered else None))


Case = tuple[StepSequence, DatabaseState, PlanOptions]


@given(cases())
@OFTEN
def test_a_plan_can_be_carried_out_without_crossing_a_barrier(case: Case) -> None:
    """No step runs twice, and each scope goes through its steps in the order of the sequence."""
    simulation = Simulation(*case)
    simulation.carry_out(make_plan(*case))
    due = {step.name for step in simulation.due}
    assert all(step.name in due for _, step in simulation.ran)
    for places in positions(case[0], simulation.ran).values():
        assert places == sorted(places)


@given(cases())
@SOMETIMES
def test_versions_ascend_and_their_parts_are_in_order(case: Case) -> None:
    """Fast before slow before workspaces, the workspaces in the order of the members."""
    sequence, state, options = case
    made = make_plan(sequence, state, options)
    assert [one.version for one in made.versions] == sorted({one.version for one in made.versions})
    order = [member.workspace_id for member in state.members]
    for one in made.versions:
        assert not one.is_empty or one.deferred
        assert [step.sort_key for step in one.instance_steps] == sorted(
            step.sort_key for step in one.instance_steps
        )
        places = [order.index(task.workspace_id) for task in one.tasks]
        assert places == sorted(set(places))
        assert all(task.steps for task in one.tasks)
        assert set(one.late) <= {task.workspace_id for task in one.tasks}
        assert options.include_slow or not any(step.is_slow for step in one.instance_steps)


@given(cases())
@OFTEN
def test_after_a_plan_is_carried_out_the_next_one_is_empty(case: Case) -> None:
    """It stops where the first one stopped, for the same reason."""
    sequence, _, options = case
    first = make_plan(*case)
    simulation = Simulation(*case)
    simulation.carry_out(first)
    second = make_plan(sequence, simulation.state, options)
    assert second.is_empty
    assert (second.stop and (second.stop.reason, second.stop.before)) == (
        first.stop and (first.stop.reason, first.stop.before)
    )


@given(cases())
@OFTEN
def test_a_plan_without_a_stop_leaves_only_what_is_deferred(case: Case) -> None:
    """With slow steps included, it leaves nothing."""
    made = make_plan(*case)
    simulation = Simulation(*case)
    simulation.carry_out(made)
    if made.stop is not None:
        assert made.stop.reason is StopReason.SLOW_DEFERRED
        assert not case[2].include_slow
        return
    left = [step for step in simulation.due if simulation._is_left(step)]
    assert all(step.is_slow or step.after_slow for step in left)
    assert {step for step in left if step.is_slow} == set(made.deferred)
    assert not left or not case[2].include_slow


@given(cases(is_filtered=True))
@OFTEN
def test_a_filtered_plan_runs_one_segment_of_the_selected(case: Case) -> None:
    """Without crossing a barrier, unless it is refused for one."""
    sequence, state, options = case
    made = make_plan(*case)
    order = [member.workspace_id for member in state.members]
    ids = options.selection.workspace_ids
    selected = [one for one in order if not ids or one in ids][: options.selection.count_limit]
    segments = [one for one in made.versions if one.tasks]
    assert len(segments) <= 1
    assert all(task.workspace_id in selected for one in segments for task in one.tasks)
    assert made.stop is not None
    if not made.refusals:
        Simulation(sequence, state, options).carry_out(made)
    if made.stop.reason is StopReason.FILTERED:
        assert not segments or segments[0] is made.versions[-1]


@given(cases(is_filtered=True))
@SOMETIMES
def test_filtered_runs_one_after_the_other_come_to_an_end(case: Case) -> None:
    """Each takes the selected through one segment, until nothing is left for them or a barrier is closed."""
    sequence, state, options = case
    for _ in range(len(sequence) + 1):
        made = make_plan(sequence, state, options)
        if made.refusals or made.is_empty:
            return
        simulation = Simulation(sequence, state, options)
        simulation.carry_out(made)
        state = simulation.state
    raise AssertionError("a filtered run goes on for ever")


@given(cases(), st.sets(st.sampled_from(WORKSPACES)))
@SOMETIMES
def test_who_was_attempted_is_left_alone_and_holds_the_barrier(case: Case, attempted: set[str]) -> None:
    sequence, state, options = case
    again = replace(options, attempted=frozenset(attempted), under_way=True)
    made = make_plan(sequence, state, again)
    assert not any(task.workspace_id in attempted for one in made.versions for task in one.tasks)
    Simulation(sequence, state, again).carry_out(made)
    if made.stop and made.stop.reason is StopReason.WORKSPACES_LEFT:
        assert set(made.stop.workspace_ids) <= attempted


@given(cases(), st.sampled_from(WORKSPACES))
@OFTEN
def test_who_is_set_aside_holds_no_barrier_and_gets_no_task(case: Case, workspace_id: str) -> None:
    """The plan is the one that there would be without it, but that it is named, and `-w` refuses it."""
    sequence, state, options = case
    made = make_plan(*case)
    aside = [member.workspace_id for member in state.quarantined]
    assert [one.workspace_id for one in made.quarantined] == aside
    assert not any(task.workspace_id in aside for one in made.versions for task in one.tasks)
    assert made.stop is None or not set(made.stop.workspace_ids) & set(aside)
    refused = make_plan(sequence, state, replace(options, selection=Selection((workspace_id,))))
    by_quarantine = [one for one in refused.refusals if one.reason is RefusalReason.QUARANTINED_WORKSPACE]
    assert bool(by_quarantine) is (workspace_id in aside)


@given(cases())
@OFTEN
def test_who_is_released_catches_up_before_anything_newer(case: Case) -> None:
    """Wherever the others have come to meanwhile, its first task is in the first version that it missed."""
    sequence, _, options = case
    ahead = Simulation(*case)
    ahead.carry_out(make_plan(*case))
    back = ahead.state.quarantined
    members = sorted([*ahead.state.members, *(replace(one, quarantine=None) for one in back)], key=_id)
    together = replace(ahead.state, members=members, quarantined=())
    made = make_plan(sequence, together, options)
    Simulation(sequence, together, options).carry_out(made)
    for missed in make_plan(sequence, ahead.state, options).quarantined:
        versions = [
            one.version
            for one in made.versions
            if any(task.workspace_id == missed.workspace_id for task in one.tasks)
        ]
        if versions:
            assert missed.misses is not None
            assert missed.misses <= versions[0]


@given(cases())
@OFTEN
def test_who_is_skipped_holds_the_barrier(case: Case) -> None:
    """As one that failed does: nothing of a later version runs, in this run or by the next plan."""
    sequence, state, options = case
    made = make_plan(*case)
    first = next((one for one in made.versions if one.tasks), None)
    if first is None:
        return
    task = first.tasks[0]
    (member,) = (one for one in state.members if one.workspace_id == task.workspace_id)
    if member.progress.enrolment.covers(first.version):
        return
    opened = {**member.progress.open, task.steps[0].name: AttemptStatus.SKIPPED}
    skipped = replace(member, progress=replace(member.progress, open=opened))
    members = [skipped if one is member else one for one in state.members]
    after = replace(state, members=members)
    held = make_plan(
        sequence, after, replace(options, attempted=frozenset({task.workspace_id}), under_way=True)
    )
    assert not any(not one.is_empty and one.version > first.version for one in held.versions)
    again = make_plan(sequence, after, options)
    tasks = [one for part in again.versions for one in part.tasks if one.workspace_id == task.workspace_id]
    assert tasks[0].steps[0] == task.steps[0]


def _id(member: Member) -> str:
    return member.workspace_id


@given(cases(), st.booleans(), st.none() | st.sampled_from(VERSIONS), st.booleans())
@SOMETIMES
def test_refusals_say_why_and_what_to_do(case: Case, absent: bool, oldest: str | None, ahead: bool) -> None:
    """And a plan is a function of its arguments."""
    sequence, state, options = case
    state = DatabaseState(
        state.instance,
        () if absent else state.members,
        source=Source.ABSENT if absent else Source.LISTED,
    )
    strict = replace(
        options, run_missing=False, allow_ahead=ahead, oldest_supported=version(oldest) if oldest else None
    )
    made = make_plan(sequence, state, strict)
    assert made == make_plan(sequence, state, strict)
    assert all(one.message and one.hint and one.subjects for one in made.refusals)
    assert all(isinstance(one.reason, RefusalReason) for one in made.refusals)
    assert made.stop is None or (made.stop.message and made.stop.hint)


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[PlanOptions, int | None]]:
    """Give some runs, each with the number of steps after which it is killed."""
    run = st.tuples(wishes() | wishes(filtered_among=WORKSPACES), st.none() | st.integers(0, 12))
    return draw(st.lists(run, max_size=4))


@given(sequences(), st.lists(st.sampled_from(WORKSPACES), unique=True), runs())
@OFTEN
def test_a_history_that_only_upgrades_made_misses_nothing(
    sequence: StepSequence, ids: list[str], several: list[tuple[PlanOptions, int | None]]
) -> None:
    """Whatever was deferred, filtered or killed on the way: no later run is refused for it."""
    fresh = Progress(enrolment=Enrolment())
    state = DatabaseState(fresh, [Member(one, fresh) for one in ids])
    for options, killed_after in several:
        made = make_plan(sequence, state, replace(options, run_missing=False))
        reasons = {one.reason for one in made.refusals}
        assert reasons <= {RefusalReason.UNKNOWN_WORKSPACE, RefusalReason.SELECTION_BEHIND_BARRIER}
        if not reasons:
            simulation = Simulation(sequence, state, options)
            simulation.carry_out(made, killed_after=killed_after)
            state = simulation.state
    assert make_plan(sequence, state, PlanOptions(ApplicationVersion.parse("9.9.9"))).refusals == ()
