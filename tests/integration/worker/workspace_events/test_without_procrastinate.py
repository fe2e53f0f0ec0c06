"""An application that has no queue installed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.server import with_parameters

_PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("procrastinate", "apscheduler", "dotenv", "prometheus_client", "opentelemetry"):
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocked())

from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
import upgrader.worker
from upgrader.worker import WorkspaceEventEmitter, on_event, track_events

class Base(DeclarativeBase): pass

class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

@on_event("person.*")
def tell(batch):
    print(batch.name, batch.workspace_id, [getattr(event, 'record_id', event) for event in batch.events])

engine = create_engine(sys.argv[1])
Base.metadata.create_all(engine)
Session = sessionmaker(engine)
emitter = WorkspaceEventEmitter(tell)
track_events(Session, workspace_id="acme", emitter=emitter)
with Session.begin() as session:
    session.add(Person(id=1, name="Ada"))
with Session.begin() as session:
    session.execute(update(Person).values(name="Grace"))
emitter.emit_custom_batch_event("person.greeted", ["hello"], workspace_id="acme")
try:
    import procrastinate
except ModuleNotFoundError as error:
    print(error)
"""


def test_events_without_a_queue(database_url: str, tmp_path: Path) -> None:
    """Emitting and tracking work where neither Procrastinate nor a scheduler can be imported."""
    program = tmp_path / "application.py"
    program.write_text(textwrap.dedent(_PROGRAM))
    url = with_parameters(database_url).replace("postgresql://", "postgresql+psycopg://", 1)
    done = subprocess.run(
        [sys.executable, str(program), url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "person.created acme [1]",
        "person.updated acme [1]",
        "person.greeted acme ['hello']",
        "procrastinate is not installed here",
    ]
