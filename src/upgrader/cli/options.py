"""The options that several verbs share, and what `plan` and `upgrade` make of theirs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.backfill.options import BackfillOptions
    from upgrader.model import FailureLimit, Jobs, Order
    from upgrader.runner.options import DowngradeOptions, UpgradeOptions

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
IncludeSlow = Annotated[bool, typer.Option("--include-slow", help="Run slow instance steps too.")]
DeferSlow = Annotated[
    bool, typer.Option("--defer-slow", help="Go on past pending slow steps, which then run out of order.")
]
To = Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Go no further than this version.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", min=1, help="Take the last N steps back.")]
WorkspaceIds = Annotated[
    list[str] | None,
    typer.Option("--workspace-id", "-w", metavar="ID", help="Only this workspace; may be repeated."),
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--start-from-workspace-id", "--start-from", metavar="ID", help="This workspace and all after it."
    ),
]
CountLimit = Annotated[
    int | None,
    typer.Option(
        "--workspace-count-limit", "--count-limit", metavar="N", min=1, help="The first N of the selection."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-d", help="Try everything and roll it back: find what would fail.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
MaxFailures = Annotated[
    str | None,
    typer.Option(
        "--max-failures",
        metavar="N|P%",
        help="End a version's workspaces with N failed ones, or with more than P% of them.",
    ),
]
IncludeMissing = Annotated[
    bool, typer.Option("--include-missing", help="Run steps that were added below what has run already.")
]
AllowAhead = Annotated[
    bool, typer.Option("--allow-ahead", help="Run although the database has steps of a later version.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show each statement, its time and row count.")
]
ShowParameters = Annotated[
    bool, typer.Option("--show-parameters", help="With each statement its parameters: they may be secret.")
]
JobCount = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N|auto",
        help="Work on N workspaces at a time, each on a connection of its own.",
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed", help="Let `upgrader worker` processes, on any machines, do the workspaces."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", min=1, help="Backfills change N rows at a time, always."),
]
PauseMs = Annotated[
    int | None, typer.Option("--pause-ms", metavar="MS", min=0, help="They rest so long after each batch.")
]
MaxRowsPerSecond = Annotated[
    float | None,
    typer.Option("--max-rows-per-second", metavar="N", min=0, help="They go no faster, rests included."),
]
RestartBackfill = Annotated[
    bool,
    typer.Option("--restart-backfill", help="Begin again the backfills of earlier runs that are not done."),
]
KeepCheckpoint = Annotated[
    bool,
    typer.Option(
        "--keep-checkpoint", help="Go on with them although their code, or their table, has changed."
    ),
]
DryRunRows = Annotated[
    int,
    typer.Option(
        "--dry-run-rows", metavar="N", min=0, help="In a dry run each backfill tries N rows; 0: all of them."
    ),
]
BackfillName = Annotated[
    str, typer.Argument(metavar="BACKFILL", help="Its id, STEP/label, or one of the two if that is enough.")
]
JobNumber = Annotated[int, typer.Argument(metavar="JOB", min=1, help="Its number, as `jobs list` shows it.")]
OrderWanted = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="id|largest-first",
        help="In which order workspaces have their turn: by id, or the largest first.",
    ),
]
LogFormatWanted = Annotated[
    str | None,
    typer.Option("--log-format", metavar="text|json", help="What happens, as text or as JSON lines."),
]
WaitLock = Annotated[
    float, typer.Option("--wait-lock", metavar="SECONDS", min=0, help="Wait for another upgrade to end.")
]


def upgrade_options(
    *,
    include_slow: bool,
    defer_slow: bool,
    to: str | None,
    workspace_ids: Sequence[str] | None,
    start_from: str | None,
    count_limit: int | None,
    include_missing: bool,
    allow_ahead: bool,
    dry_run: bool = False,
    verbose: bool = False,
    fail_fast: bool = False,
    max_failures: str | None = None,
    wait_lock: float = 0.0,
    jobs: str | None = None,
    backfill: BackfillOptions | None = None,
    order: str | None = None,
) -> UpgradeOptions:
    """Put the flags together.

    Raises:
        OperatorError: two contradict each other, or one has a value that means nothing.
    """
    from upgrader.backfill.options import BackfillOptions
    from upgrader.runner.options import UpgradeOptions
    from upgrader.sequence.plan import Selection
    from upgrader.version import ReleaseVersion

    if include_slow and defer_slow:
        raise OperatorError(
            "--include-slow and --defer-slow contradict each other",
            hint="--include-slow runs slow steps now, --defer-slow goes on without them: give one of the two",
        )
    return UpgradeOptions(
        to=ReleaseVersion.parse(to) if to is not None else None,
        include_slow=include_slow,
        defer_slow=defer_slow,
        include_missing=include_missing,
        allow_ahead=allow_ahead,
        selection=Selection(tuple(dict.fromkeys(workspace_ids or ())), start_from, count_limit),
        dry_run=dry_run,
        verbose=verbose,
        fail_fast=fail_fast,
        max_failures=failure_limit(max_failures, fail_fast=fail_fast),
        wait_lock_seconds=seconds("--wait-lock", wait_lock),
        jobs=job_count(jobs),
        backfill=backfill or BackfillOptions(),
        order=order_wanted(order),
    )


def backfill_options(
    *,
    batch_size: int | None,
    pause_ms: int | None,
    max_rows_per_second: float | None,
    restart: bool,
    keep_checkpoint: bool,
    dry_run_rows: int,
) -> BackfillOptions:
    """Put the flags of backfills together.

    Raises:
        OperatorError: two contradict each other, or one has a value that means nothing.
    """
    from upgrader.backfill.options import BackfillOptions, Resumption

    if restart and keep_checkpoint:
        raise OperatorError(
            "--restart-backfill and --keep-checkpoint contradict each other",
            hint="--keep-checkpoint goes on after the rows that are done, --restart-backfill begins again at the"
            " first one: give one of the two",
        )

    rate = max_rows_per_second
    if rate is not None and not math.isfinite(rate):
        raise OperatorError(
            f"--max-rows-per-second {rate} is no number of rows",
            hint="for example --max-rows-per-second 5000",
        )
    otherwise = Resumption.KEEP if keep_checkpoint else Resumption.REFUSE_IF_CHANGED
    return BackfillOptions(
        batch_size=batch_size,
        pause_ms=pause_ms,
        max_rows_per_second=rate,
        resumption=Resumption.RESTART if restart else otherwise,
        dry_run_rows=dry_run_rows,
    )


def downgrade_options(
    *,
    to: str | None,
    steps: int | None,
    workspace_ids: Sequence[str] | None,
    start_from: str | None,
    count_limit: int | None,
    dry_run: bool = False,
    verbose: bool = False,
    fail_fast: bool = False,
    wait_lock: float = 0.0,
    jobs: str | None = None,
    order: str | None = None,
) -> DowngradeOptions:
    """Put the flags of the way down together.

    Raises:
        OperatorError: it is not said how far to go, or said twice, or a flag has a value that means nothing.
    """
    from upgrader.runner.options import DowngradeOptions
    from upgrader.sequence.plan import Selection
    from upgrader.version import ReleaseVersion

    if (to is None) == (steps is None):
        raise OperatorError(
            "give --to or --steps" if to is None else "--to and --steps contradict each other",
            hint="--to VERSION takes back everything above VERSION, --steps N the last N steps: give one of the two",
        )
    return DowngradeOptions(
        to=ReleaseVersion.parse(to) if to is not None else None,
        steps=steps,
        selection=Selection(tuple(dict.fromkeys(workspace_ids or ())), start_from, count_limit),
        dry_run=dry_run,
        verbose=verbose,
        fail_fast=fail_fast,
        wait_lock_seconds=seconds("--wait-lock", wait_lock),
        jobs=job_count(jobs),
        order=order_wanted(order),
    )


def listed(values: Sequence[str] | None) -> tuple[str, ...]:
    """Give the entries of an option that takes several, with commas between them or repeated; each once."""
    entries = (entry.strip() for value in values or () for entry in value.split(","))
    return tuple(dict.fromkeys(entry for entry in entries if entry))


def failure_limit(text: str | None, *, fail_fast: bool) -> FailureLimit | None:
    """Read `--max-failures`; None where it was not given.

    Raises:
        OperatorError: it is neither a number nor a part, or contradicts `--fail-fast`.
    """
    from upgrader.model import FailureLimit

    if text is None:
        return None
    try:
        limit = FailureLimit.parse(text)
    except ValueError as error:
        raise OperatorError(
            f"--max-failures: {error}", hint="for example --max-failures 20 or --max-failures 5%"
        ) from error
    if fail_fast and limit != FailureLimit(count=1):
        raise OperatorError(
            f"--fail-fast and --max-failures {text} contradict each other",
            hint="--fail-fast is --max-failures 1: give one of the two",
        )
    return limit


def job_count(text: str | None) -> Jobs | None:
    """Read `--jobs`; None where it was not given.

    Raises:
        OperatorError: it is neither a number nor `auto`.
    """
    from upgrader.model import Jobs

    if text is None:
        return None
    try:
        return Jobs.parse(text)
    except ValueError as error:
        raise OperatorError(f"--jobs: {error}", hint="for example --jobs 4 or --jobs auto") from error


def order_wanted(text: str | None) -> Order | None:
    """Read `--order`; None where it was not given.

    Raises:
        OperatorError: there is no such order.
    """
    from upgrader.model import Order

    if text is None:
        return None
    try:
        return Order(text)
    except ValueError:
        raise OperatorError(
            f"--order: there is no order {text!r}", hint=f"give one of: {', '.join(Order)}"
        ) from None


def seconds(flag: str, value: float) -> float:
    """Give a number of seconds that can be waited.

    Raises:
        OperatorError: it is infinite, or no number.
    """
    if not math.isfinite(value):
        raise OperatorError(f"{flag} {value} is no number of seconds", hint=f"for example {flag} 600")
    return value


def age(flag: str, value: str) -> timedelta:
    """Give how long ago something is: hours, days or weeks.

    Raises:
        OperatorError: it is no age.
    """
    match = re.fullmatch(r"(\d{1,5})([hdw])", value.strip().lower(), re.ASCII)
    if match is None:
        raise OperatorError(f"{flag} {value} is no age", hint=f"for example {flag} 90d; h, d and w are known")
    hours = {"h": 1, "d": 24, "w": 168}[match[2]]
    return timedelta(hours=int(match[1]) * hours)
