"""An application that adds jobs and emits events needs no queue installed."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import upgrader.worker as worker
loaded = [getattr(worker, name) for name in worker.__all__]
import upgrader.worker.queue.administration, upgrader.worker.queue.layout
found = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted({"procrastinate", "apscheduler", "prometheus_client", "opentelemetry"} & found)))
"""


def test_the_public_names_load_no_queue_and_no_scheduler() -> None:
    """Adding jobs and looking at them are SQL."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
