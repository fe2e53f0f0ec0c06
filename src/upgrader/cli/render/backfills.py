"""Backfills, for people and as JSON: how far each is, how fast, what it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.cli.rate import TimeLeft
from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.documents import Document, envelope, time_text
from upgrader.cli.render.wording import age, counted, duration, moment

if TYPE_CHECKING:
    from upgrader.api.backfilling import Ordered
    from upgrader.backfill.standing import Backfill
    from upgrader.events import BackfillMoved

_STYLES = {"running": "good", "waiting": "warning", "paused": "warning", "cancelled": "warning"}
_COLUMNS = (
    Column("id", right=True, whole=True),
    Column("backfill"),
    Column("rows", right=True, whole=True),
    Column("done", right=True, whole=True),
    Column("rows/s", right=True, whole=True),
    Column("left", whole=True),
    Column("state"),
)
_NARROW = 100
_MARGIN = 0.25  # the last seconds' rate is no more exact than this for the rest of a table


def moved_text(event: BackfillMoved, left: TimeLeft | None) -> str:
    """Give how far a backfill of a run is, in one line."""
    place = "" if event.scope.is_instance else f"{event.scope}: "
    done = f"{place}{event.label}: {rows_text(event.rows_done, event.rows_estimated)}"
    if event.waiting_for is not None:
        return f"{done}; {waiting_text(event)}"
    rate = f", {event.rows_per_second:,.0f}/s" if event.rows_per_second else ""
    told = f", {left.text} left" if left is not None and not event.is_finished else ""
    return f"{done}{rate}{told}"


def short_moved_text(event: BackfillMoved, left: TimeLeft | None) -> str:
    """Give how far it is where there is little room: what matters most stands first, what is cut off last."""
    place = "" if event.scope.is_instance else f"{event.scope}: "
    done, estimated = event.rows_done, event.rows_estimated
    parts = [_percent(done, estimated) if estimated and done <= estimated else counted(done, "row")]
    if event.waiting_for is not None:
        parts.append(f"waits for {event.waiting_for}")
    else:
        parts += [f"{left.short_text} left"] if left is not None else []
        parts += [f"{event.rows_per_second:,.0f}/s"] if event.rows_per_second else []
    if estimated and done <= estimated:
        parts.append(f"{done:,} of ~{counted(estimated, 'row')}")
    return f"{place}{event.label}: {', '.join(parts)}"


def waiting_text(event: BackfillMoved) -> str:
    """Give what a backfill waits for, and since when."""
    return f"waiting for {event.waiting_for}, since {duration(event.waiting_seconds)}"


def rows_text(done: int, estimated: int | None) -> str:
    """Give rows with their part of the planner's estimate; one that was too low is told, not a part above 100."""
    if not estimated:
        return counted(done, "row")
    if done > estimated:
        return f"{counted(done, 'row')}, more than the {estimated:,} that were estimated"
    return f"{done:,} of about {counted(estimated, 'row')} ({_percent(done, estimated)})"


def backfills_blocks(backfills: Sequence[Backfill], *, has_more: bool, width: int | None) -> Iterator[Block]:
    """Give every backfill: a table where there is room, else a block for each."""
    if not backfills:
        yield Line("no backfill is at work, and none is left to go on with")
    elif width is not None and width < _NARROW:
        for one in backfills:
            yield Line(f"{one.id}  {one.name}", verbatim=True)
            yield Line(_progress(one), indent=2)
            yield Line(state_text(one), indent=2, style=_STYLES.get(one.state.value, ""))
    else:
        yield Table(_COLUMNS, [_cells(one) for one in backfills])
        yield from _waits(backfills)
    if has_more:
        yield Line(f"there are more than these {len(backfills):,}: --limit N shows more")


def backfill_blocks(one: Backfill) -> Iterator[Block]:
    """Give one backfill with all that is known of it."""
    yield Line(f"backfill {one.id}: {one.name}", style="bold")
    key = f"by {', '.join(one.key_columns)}" if one.key_columns else "by ctid: it has no usable key"
    yield Line(f"step: {one.step}", indent=2)
    yield Line(f"table: {one.relation}, {key}", indent=2)
    yield Line(f"state: {state_text(one)}", indent=2, style=_STYLES.get(one.state.value, ""))
    yield Line(f"done: {rows_text(one.rows_done, one.rows_estimated)}", indent=2)
    size = f", {one.batch_rows:,} rows in the last one" if one.batch_rows is not None else ""
    yield Line(f"batches: {one.batches:,}{size}", indent=2)
    if one.rows_per_second is not None:
        yield Line(f"rate: {one.rows_per_second:,.0f} rows/s when it last worked", indent=2)
    if (left := time_left(one)) is not None:
        yield Line(f"left: {left.text}", indent=2)
    yield Line(f"begun: {moment(one.started_at)}; last batch {age(one.idle_seconds)} ago", indent=2)


def state_text(one: Backfill) -> str:
    """Say what a backfill does just now, and since when, by whom or for what."""
    match one.state.value:
        case "waiting":
            return f"waiting for {one.waiting_for}, since {age(one.waiting_seconds or 0.0)}"
        case "paused":
            rest = "" if one.has_run else "; no run is at work, the next one waits until it is resumed"
            return f"paused by {one.wanted_by}, since {age(one.wanted_seconds or 0.0)}{rest}"
        case "cancelled":
            return f"cancelled by {one.wanted_by}: its step ends with the batch at hand"
        case "stopped":
            return "stopped: its run is gone, the next `upgrader upgrade` goes on from here"
        case "finished":
            return "finished: its step is not complete yet"
        case _:
            return "running"


def ordered_blocks(verb: str, done: Ordered) -> Iterator[Block]:
    """Say what `backfill pause|resume|cancel` did."""
    one = done.backfill
    name = f"backfill {one.id} ({one.name})"
    if verb == "pause":
        again = "" if done.is_changed else " already"
        when = (
            "its run rests after the batch at hand"
            if one.has_run
            else "the next run waits when it gets there"
        )
        yield Line(f"{name} is paused{again}: {when}")
    elif verb == "resume":
        how = "goes on" if one.has_run else "goes on with the next `upgrader upgrade`"
        yield Line(f"{name} {how}" if done.is_changed else f"{name} was not paused")
    else:
        yield Line(f"{name} is cancelled: its step ends after the batch at hand, and its run with it")


def backfills_document(backfills: Sequence[Backfill], exit_code: int, *, has_more: bool) -> Document:
    """Give every backfill."""
    return {
        **envelope("done", exit_code),
        "backfills": [backfill_fields(one) for one in backfills],
        "has_more": has_more,
    }


def backfill_document(one: Backfill, exit_code: int) -> Document:
    """Give one backfill."""
    return {**envelope("done", exit_code), "backfill": backfill_fields(one)}


def ordered_document(done: Ordered, exit_code: int) -> Document:
    """Give what `backfill pause|resume|cancel` did."""
    return {**backfill_document(done.backfill, exit_code), "changed": done.is_changed}


def backfill_fields(one: Backfill) -> Document:
    """Give one backfill; `percent` is that of an estimate, and 100 at most."""
    left = time_left(one)
    return {
        "id": one.id,
        "step": one.step,
        "workspace_id": one.workspace_id,
        "label": one.label,
        "table": one.relation,
        "key": list(one.key_columns),
        "state": one.state.value,
        "rows_done": one.rows_done,
        "rows_estimated": one.rows_estimated,
        "percent": None if one.percent is None else round(min(one.percent, 100.0), 1),
        "is_estimate_too_low": one.is_estimate_too_low,
        "batches": one.batches,
        "batch_rows": one.batch_rows,
        "rows_per_second": None if one.rows_per_second is None else round(one.rows_per_second, 1),
        "left_seconds": None if left is None else [round(left.low_seconds, 1), round(left.high_seconds, 1)],
        "waiting_for": one.waiting_for,
        "waiting_since": time_text(one.waiting_since),
        "wanted": one.wanted.value if one.wanted else None,
        "wanted_by": one.wanted_by,
        "wanted_at": time_text(one.wanted_at),
        "run_id": one.run_id,
        "has_run": one.has_run,
        "started_at": time_text(one.started_at),
        "updated_at": time_text(one.updated_at),
    }


def time_left(one: Backfill) -> TimeLeft | None:
    """Give how long the rest takes at the rate of the last seconds; None while it does not move."""
    if one.state.value != "running" or not one.rows_left or not one.rows_per_second:
        return None
    seconds = one.rows_left / one.rows_per_second
    return TimeLeft(seconds / (1 + _MARGIN), seconds / (1 - _MARGIN))


def _cells(one: Backfill) -> list[str | Cell]:
    left = time_left(one)
    state = one.state.value
    return [
        str(one.id),
        one.name,
        f"{one.rows_done:,}",
        _part(one),
        f"{one.rows_per_second:,.0f}" if one.rows_per_second else "",
        left.text if left is not None else "",
        Cell(state, _STYLES.get(state, "")),
    ]


def _part(one: Backfill) -> str:
    if one.is_estimate_too_low:
        return "> estimate"
    if one.percent is None:
        return "?"
    return "100%" if one.is_finished else f"~{_percent(one.rows_done, one.rows_estimated or 0)}"


def _percent(done: int, estimated: int) -> str:
    """Give a part; less than all of it is never told as all."""
    percent = 100.0 * done / estimated
    return (
        f"{min(percent, 99.9 if done < estimated else 100.0):.{1 if percent < 10 or percent > 99 else 0}f}%"
    )


def _progress(one: Backfill) -> str:
    left = time_left(one)
    rate = f", {one.rows_per_second:,.0f}/s" if one.rows_per_second else ""
    told = f", {left.text} left" if left is not None else ""
    return f"{rows_text(one.rows_done, one.rows_estimated)}{rate}{told}"


def _waits(backfills: Sequence[Backfill]) -> Iterator[Block]:
    """Say below the table of those that do not run why they do not."""
    others = [one for one in backfills if one.state.value != "running"]
    if others:
        yield Line()
    for one in others:
        yield Line(f"{one.id}: {state_text(one)}", style=_STYLES.get(one.state.value, ""))
