"""What a worker on another machine needs to take part in a run: the connections and steps of a member of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.api.foundation import Foundation

if TYPE_CHECKING:
    from upgrader.runner.taking_part import Part


class TakingPart(Foundation):
    """Lets this process do a part of the workspaces of somebody else's run."""

    @contextmanager
    def taking_part(self, run_id: str) -> Iterator[Part]:
        """Open the connections of a member of a run that is under way; each holds the run's fence.

        Args:
            run_id: whose run it is. Whether it still lives is not looked at here.

        Raises:
            LoadingError, SettingsError: this process has no commands, or no database, to take part with.
            DatabaseUnavailableError: there is no connection to be had.
        """
        from upgrader.runner.taking_part import open_part

        registry = self.registry  # loading comes before the database is touched
        with open_part(self._access, registry, run_id=run_id) as part:
            yield part
