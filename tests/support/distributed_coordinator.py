"""A coordinator of a distributed run that sends no invitations: `python -m tests.support.distributed_coordinator`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.distributed import NoInvitations
from upgrader import Upgrader
from upgrader.runner.options import UpgradeOptions
from upgrader.settings.load import load_settings
from upgrader.worker.distributed.coordinator import distributing

loaded = load_settings(directory=Path.cwd(), environment=os.environ)
upgrader = Upgrader(loaded.settings, base=Path.cwd())
executor = distributing(upgrader.registry, invites=NoInvitations(), stalled_seconds=30.0)
report = upgrader.upgrade(UpgradeOptions(), executor=executor)
print(report.outcome)
