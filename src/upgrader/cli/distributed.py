"""`upgrade --distributed`: the run of this process, its workspaces done by workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.api import Upgrader
    from upgrader.runner.options import UpgradeOptions
    from upgrader.runner.result import RunReport


def check_distributed(*, jobs: str | None, shows_parameters: bool) -> None:
    """Refuse what `--distributed` does not go together with.

    Raises:
        OperatorError: another flag says something else.
    """
    if jobs is not None:
        raise OperatorError(
            "--distributed and --jobs contradict each other",
            hint="how many workspaces a worker has at a time is its own: upgrader worker --concurrency N",
        )
    if shows_parameters:
        raise OperatorError(
            "--distributed and --show-parameters contradict each other: workers keep parameters to themselves",
            hint="--verbose shows the statements without them; for the parameters leave --distributed away",
        )


def upgrading(options: UpgradeOptions, *, is_distributed: bool) -> Callable[[Upgrader], RunReport]:
    """Give what runs `upgrade`; a dry run is one transaction, and always this process' own."""
    if not is_distributed or options.dry_run:
        return lambda upgrader: upgrader.upgrade(options)

    def run(upgrader: Upgrader) -> RunReport:
        from upgrader.worker.distributed.coordinator import upgrade_distributed

        return upgrade_distributed(upgrader, options)

    return run
