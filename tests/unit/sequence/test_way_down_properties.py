"""What holds of every way down, for random sequences and histories."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sequence.builders import version
from tests.unit.sequence.test_plan_properties import OFTEN, VERSIONS, sequences, states
from upgrader.model import AttemptStatus, Progress, Step
from upgrader.sequence.down_plan import DownOptions
from upgrader.sequence.plan import PlanOptions
from upgrader.sequence.planner import make_plan
from upgrader.sequence.presence import is_there
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.sequence.way_down import make_way_down
from upgrader.version import ApplicationVersion

APPLICATION = ApplicationVersion.parse("9.0.0")
Ran = list[tuple[str | None, Step]]


@st.composite
def cases(draw: st.DrawFn) -> tuple[StepSequence, DatabaseState, DownOptions]:
    sequence = draw(sequences())
    if draw(st.booleans()):
        options = DownOptions(APPLICATION, to=version(draw(st.sampled_from(["0.1.0", *VERSIONS]))))
    else:
        options = DownOptions(APPLICATION, steps=draw(st.integers(1, 8)))
    return sequence, draw(states(sequence)), options


Case = tuple[StepSequence, DatabaseState, DownOptions]


def take_back(
    sequence: StepSequence, state: DatabaseState, options: DownOptions
) -> tuple[DatabaseState, Ran]:
    """Carry a plan of the way down out, with the rule of the barrier in its plainest form."""
    made = make_way_down(sequence, state, options)
    assert made.refusals == ()
    wanted = {step.name for step in made.steps}
    instance, members = state.instance, {one.workspace_id: one.progress for one in state.members}
    ran: Ran = []
    for planned in made.versions:
        for task in planned.tasks:
            for step in task.steps:
                assert not _left(sequence, wanted, instance, members, above=step)
                members[task.workspace_id] = _without(members[task.workspace_id], step)
                ran.append((task.workspace_id, step))
        for step in planned.instance_steps:
            assert not _left(sequence, wanted, instance, members, above=step)
            instance = _without(instance, step)
            ran.append((None, step))
    after = [Member(name, progress, "ACTIVE") for name, progress in members.items()]
    return DatabaseState(instance, after), ran


def _left(
    sequence: StepSequence,
    wanted: set[str],
    instance: Progress,
    members: dict[str, Progress],
    *,
    above: Step,
) -> list[str]:
    """Give what should be back already: everything of newer versions; for an instance step every workspace."""
    return [
        step.name
        for step in sequence
        if step.name in wanted
        and (step.version > above.version or (step.version == above.version and _is_before(step, above)))
        and any(is_there(step, one) for one in (members.values() if step.is_workspace else [instance]))
    ]


def _is_before(step: Step, above: Step) -> bool:
    return not above.is_workspace and step.sort_key > above.sort_key


def _without(progress: Progress, step: Step) -> Progress:
    assert is_there(step, progress)
    return replace(
        progress,
        completed=progress.completed - {step.name},
        open={**progress.open, step.name: AttemptStatus.REVERTED},
    )


@given(cases())
@OFTEN
def test_no_barrier_is_crossed_and_each_scope_mirrors_the_sequence(case: Case) -> None:
    """Each scope goes back through its steps in the opposite order; none is taken back twice."""
    sequence, state, options = case
    after, ran = take_back(sequence, state, options)
    places = {step.name: place for place, step in enumerate(sequence)}
    for scope in {scope for scope, _ in ran}:
        own = [places[step.name] for one, step in ran if one == scope]
        assert own == sorted(set(own), reverse=True)
    if options.to is not None:
        assert make_way_down(sequence, after, options).is_empty


@given(cases())
@OFTEN
def test_down_and_up_again_gives_the_same_completed_set(case: Case) -> None:
    """What was taken back is pending, and an upgrade brings exactly that back, with what was pending before."""
    sequence, state, options = case
    after, ran = take_back(sequence, state, options)
    everything = PlanOptions(APPLICATION, include_slow=True, run_missing=True)
    before = {(scope, step.name) for scope, step in _runs(sequence, state, everything)}
    again = {(scope, step.name) for scope, step in _runs(sequence, after, everything)}
    assert again == before | {(scope, step.name) for scope, step in ran}


def _runs(sequence: StepSequence, state: DatabaseState, options: PlanOptions) -> Ran:
    made = make_plan(sequence, state, options)
    assert made.stop is None
    instance: Ran = [(None, step) for one in made.versions for step in one.instance_steps]
    return instance + [
        (task.workspace_id, step) for one in made.versions for task in one.tasks for step in task.steps
    ]


@given(cases(), st.integers(0, 20))
@OFTEN
def test_a_way_that_is_cut_off_is_gone_on_with(case: Case, cut: int) -> None:
    """With the steps settled, planning again takes back exactly what is left, in the same order."""
    sequence, state, options = case
    names = frozenset(step.name for step in make_way_down(sequence, state, options).steps)
    settled = replace(options, to=None, steps=None, names=names)
    whole, ran = take_back(sequence, state, options)
    part = _first(state, ran[:cut])
    after, rest = take_back(sequence, part, settled)
    assert rest == ran[cut:]
    assert [one.progress.completed for one in after.members] == [
        one.progress.completed for one in whole.members
    ]


def _first(state: DatabaseState, ran: Ran) -> DatabaseState:
    instance, members = state.instance, {one.workspace_id: one.progress for one in state.members}
    for scope, step in ran:
        if scope is None:
            instance = _without(instance, step)
        else:
            members[scope] = _without(members[scope], step)
    return DatabaseState(instance, [Member(name, progress, "ACTIVE") for name, progress in members.items()])
