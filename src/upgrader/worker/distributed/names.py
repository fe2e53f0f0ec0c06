"""What the invitations to a run are called in the queue."""

from __future__ import annotations

QUEUE = "upgrader-distributed"
TAKE_PART = "upgrade.take_part"
