"""What a run tells its workers, and who may take part in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.cli.builders import workspace_step
from upgrader.backfill.options import BackfillOptions, Resumption
from upgrader.database.retry import RetryPolicy
from upgrader.model import Step
from upgrader.runner.options import RunSettings
from upgrader.version import ApplicationVersion
from upgrader.worker.distributed.terms import RunTerms

STEPS = [workspace_step("First", checksum="v1:1"), workspace_step("Second", timestamp=2, checksum="v1:2")]
SETTINGS = RunSettings(
    app_version=ApplicationVersion.parse("1.2.0"),
    lock_timeout_seconds=0.5,
    retry=RetryPolicy(3, 0.1, 1.0),
    search_path_extra=("shared", "public"),
)
BACKFILL = BackfillOptions(batch_size=5, resumption=Resumption.KEEP)


def terms() -> RunTerms:
    """Give what a coordinator tells."""
    return RunTerms.of(
        SETTINGS,
        STEPS,
        source="table",
        backfill=BACKFILL,
        verbose=True,
        rereads_state=False,
        failures_at_most=3,
    )


def test_terms_are_read_as_they_were_written():
    """What holds on all machines goes before a worker's own settings; the rest of those stays."""
    read = RunTerms.decode(terms().encode())
    assert read == terms()
    own = RunSettings(
        app_version=ApplicationVersion.parse("1.2.0"), schema="its_own", lock_timeout_seconds=9.0
    )
    over = read.settings_over(own)
    assert (over.lock_timeout_seconds, over.retry, over.schema) == (0.5, RetryPolicy(3, 0.1, 1.0), "its_own")
    assert over.search_path_extra == ("shared", "public")
    assert read.backfill_options == BACKFILL


@pytest.mark.parametrize(
    ("app_version", "steps", "source", "words"),
    [
        ("1.2.0", STEPS, "table", None),
        ("1.3.0", STEPS, "table", "release 1.3.0"),
        ("1.2.0", STEPS[:1], "table", f"it lacks {STEPS[1].name}"),
        ("1.2.0", [replace(STEPS[0], checksum="v1:x"), STEPS[1]], "table", f"other code of {STEPS[0].name}"),
        ("1.2.0", [*STEPS, replace(STEPS[0], name="1.0.0_More_9")], "table", "only it has 1.0.0_More_9"),
        ("1.2.0", STEPS, "provider", "another source"),
    ],
)
def test_who_may_take_part(app_version: str, steps: list[Step], source: str, words: str | None):
    """Whoever has the same release, the same steps and the same source of workspaces."""
    found = terms().difference(app_version=app_version, steps=steps, source=source)
    assert found is None if words is None else found is not None and words in found
