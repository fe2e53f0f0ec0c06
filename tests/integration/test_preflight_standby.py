"""A server that replays another's log: nothing may begin on it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document
from upgrader.database.embedded import embedded_server


@pytest.fixture
def standby() -> Iterator[Project]:
    """A project on a server that was stopped and started again as a standby, without a primary."""
    # Not below pytest's own folder: that is closed to the OS user that runs the server for root.
    folder = Path(tempfile.mkdtemp(prefix="upgrader-standby-"))
    with embedded_server(folder / "data"):
        pass
    (control,) = folder.rglob("pg_control")
    signal = control.parent.parent / "standby.signal"
    signal.touch()
    owner = control.stat()
    shutil.chown(signal, owner.st_uid, owner.st_gid)
    project = Project.create(folder, f"embedded:{folder / 'data'}")
    with embedded_server(folder / "data"):
        yield project
    shutil.rmtree(folder, ignore_errors=True)


def test_every_verb_that_writes_is_refused(standby: Project):
    """Exit 2, and the way to the primary; the verbs that read go on."""
    standby.fast("1.0.0", 1, "AddThing")
    found = standby.run_cli("preflight", "--json")
    assert_error(found, 2, "an upgrade would be refused: standby")
    assert [one["name"] for one in document(found)["findings"] if one["level"] == "refuse"] == ["standby"]
    for verb in (["upgrade"], ["upgrade", "--dry-run"], ["baseline", "1.0.0"]):
        assert_error(standby.run_cli(*verb), 2, "the server is a standby", "target_session_attrs=read-write")
    assert_code(standby.run_cli("plan"), 0)
