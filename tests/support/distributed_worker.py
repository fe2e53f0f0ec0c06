"""A worker that only takes part in distributed runs: `python -m tests.support.distributed_worker LANES URL`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from tests.support.distributed import look_for_runs
from upgrader import Upgrader
from upgrader.settings.load import load_settings


def main() -> None:
    """Look for runs until SIGTERM comes."""
    lanes, url = int(sys.argv[1]), sys.argv[2]
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    loaded = load_settings(directory=Path.cwd(), environment=os.environ)
    settings = loaded.settings.model_copy(update={"database_url": url})
    upgrader = Upgrader(settings, base=Path.cwd())
    look_for_runs(upgrader, url, lanes=lanes, is_over=over.is_set, say=lambda text: print(text, flush=True))


main()
