"""What an operator asks of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from upgrader.backfill.brake import BrakeLimits
from upgrader.backfill.options import BackfillOptions
from upgrader.backfill.pacing import Pace
from upgrader.database.retry import RetryPolicy
from upgrader.model import FailureLimit, Jobs, Order
from upgrader.sequence.down_plan import DownOptions
from upgrader.sequence.plan import PlanOptions, Selection
from upgrader.version import ApplicationVersion, ReleaseVersion


@dataclass(frozen=True)
class UpgradeOptions:
    """The flags of `upgrade` (and of `plan`, which takes the same ones).

    Attributes:
        jobs: how many workspaces at a time; None: what the settings say. A dry run is one transaction, with one
            connection.
        order: in which order workspaces have their turn; None: what the settings say. A dry run goes by id.
    """

    to: ReleaseVersion | None = None
    include_slow: bool = False
    defer_slow: bool = False
    include_missing: bool = False
    allow_ahead: bool = False
    selection: Selection = field(default_factory=Selection)
    dry_run: bool = False
    verbose: bool = False
    fail_fast: bool = False
    max_failures: FailureLimit | None = None
    wait_lock_seconds: float = 0.0
    backfill: BackfillOptions = field(default_factory=BackfillOptions)
    jobs: Jobs | None = None
    order: Order | None = None

    def failure_limit(self, settings: RunSettings) -> FailureLimit:
        """Give when a segment is ended early: what the flags say, else what the settings say."""
        return failure_limit(settings, fail_fast=self.fail_fast, max_failures=self.max_failures)


@dataclass(frozen=True)
class DowngradeOptions:
    """The flags of `downgrade` (and of `plan --down`); exactly one of `to` and `steps` is given.

    Attributes:
        jobs: how many workspaces at a time; None: what the settings say.
        order: in which order workspaces have their turn; None: what the settings say.
        confirmed: the names of the steps that somebody has agreed to; None where nobody was asked.
    """

    to: ReleaseVersion | None = None
    steps: int | None = None
    selection: Selection = field(default_factory=Selection)
    dry_run: bool = False
    verbose: bool = False
    fail_fast: bool = False
    wait_lock_seconds: float = 0.0
    jobs: Jobs | None = None
    order: Order | None = None
    confirmed: frozenset[str] | None = None

    def failure_limit(self, settings: RunSettings) -> FailureLimit:
        """Give when a segment is ended early: what the flag says, else what the settings say."""
        return failure_limit(settings, fail_fast=self.fail_fast)


@dataclass(frozen=True)
class RunSettings:
    """What the settings say about runs, in the runner's terms.

    Attributes:
        lock_timeout_seconds: how long a transactional step's statement waits for a lock.
        statement_timeout_seconds: how long one statement of a command may take; 0: as long as it takes.
        idle_in_transaction_session_timeout_seconds: how long a transaction may stand still.
        concurrent_wait_seconds: how long a statement outside a transaction waits while nobody waits behind it.
        dry_run_lock_seconds: how long a dry run may block readers or writers of an existing table.
        search_path_extra: schemas after the workspace's own.
        max_failures: when a segment is ended early.
        jobs: how many workspaces are worked on at a time.
        pace: of backfills, before the flags.
        brake: when they step back.
        batches_wait_for_disk: whether the commit of each batch does.
        order: in which order workspaces have their turn.
        is_embedded: whether the server is the embedded one, for hints.
    """

    app_version: ApplicationVersion
    schema: str = "upgrader"
    run_missing: bool = False
    unenrolled_run_all: bool = False
    oldest_supported: ReleaseVersion | None = None
    search_path_extra: tuple[str, ...] = ("public",)
    lock_timeout_seconds: float = 2.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    statement_timeout_seconds: float = 0.0
    idle_in_transaction_session_timeout_seconds: float = 600.0
    concurrent_wait_seconds: float = 0.0
    dry_run_lock_seconds: float = 2.0
    max_failures: FailureLimit = field(default_factory=FailureLimit)
    jobs: Jobs = field(default_factory=Jobs)
    pace: Pace = field(default_factory=Pace)
    brake: BrakeLimits = field(default_factory=BrakeLimits)
    batches_wait_for_disk: bool = False
    order: Order = Order.ID
    is_embedded: bool = False


def failure_limit(
    settings: RunSettings, *, fail_fast: bool = False, max_failures: FailureLimit | None = None
) -> FailureLimit:
    """Give when a segment is ended early. To fail fast is to allow no failure at all."""
    if fail_fast:
        return FailureLimit(count=1)
    return max_failures or settings.max_failures


def plan_options(
    options: UpgradeOptions,
    settings: RunSettings,
    *,
    attempted: frozenset[str] = frozenset(),
    under_way: bool = False,
) -> PlanOptions:
    """Put flags and settings together for the planner."""
    return PlanOptions(
        app_version=settings.app_version,
        to=options.to,
        include_slow=options.include_slow,
        defer_slow=options.defer_slow,
        run_missing=settings.run_missing or options.include_missing,
        allow_ahead=options.allow_ahead,
        oldest_supported=settings.oldest_supported,
        unenrolled_run_all=settings.unenrolled_run_all,
        selection=options.selection,
        attempted=attempted,
        under_way=under_way,
    )


def down_options(
    options: DowngradeOptions,
    settings: RunSettings,
    *,
    names: frozenset[str] | None = None,
    attempted: frozenset[str] = frozenset(),
    under_way: bool = False,
) -> DownOptions:
    """Put flags and settings together for the planner of the way down.

    Args:
        names: the steps that a number of steps came to, once that is settled.
    """
    return DownOptions(
        app_version=settings.app_version,
        to=options.to,
        steps=options.steps,
        names=names,
        selection=options.selection,
        unenrolled_run_all=settings.unenrolled_run_all,
        attempted=attempted,
        under_way=under_way,
    )
