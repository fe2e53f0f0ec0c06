"""Log lines: as text for people, or as JSON with the ids of what they are about; none is lost before it is set up."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from upgrader.log_fields import current_log_fields
from upgrader.registry.package import PREFIX as COMMANDS_PACKAGE
from upgrader.worker.names import JOBS_PACKAGE
from upgrader.worker.running import current_job

Write = Callable[[str], None]
"""Takes one line, without its end."""
Redact = Callable[[str], str]

ROOT = "upgrader"
_PRIVATE = re.compile(rf"^(?:{COMMANDS_PACKAGE}|{JOBS_PACKAGE})[0-9a-f]+\.")
_SHOWN_IDS = ("run_id", "workspace_id", "step", "job", "job_id", "queue")
_KEPT_LINES = 10_000
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class LogLines(logging.Handler):
    """Writes each record as one line of text, or as one JSON object on a line."""

    def __init__(self, write: Write, *, log_format: LogFormat, redact: Redact = str) -> None:
        """Write nothing yet.

        Args:
            redact: takes secrets out of every text.
        """
        super().__init__()
        self._write = write
        self._redact = redact
        self._line = self._as_json if log_format is LogFormat.JSON else self._as_text
        self._plain = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; its ids were noted when it was logged."""
        try:
            self._write(self._line(record))
        except Exception:
            self.handleError(record)

    def _as_text(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        ids = [f"{name}={fields[name]}" for name in _SHOWN_IDS if fields.get(name) is not None]
        told = f" [{' '.join(ids)}]" if ids else ""
        trace = f"\n{self._trace(record)}" if self._has_trace(record) else ""
        head = (
            f"{_time(record):%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {_name(record)}"
        )
        return self._redact(f"{head}: {record.getMessage()}{told}{trace}")

    def _as_json(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": _time(record).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": _name(record),
            "message": self._redact(record.getMessage()),
            **{name: self._value(value) for name, value in fields_of(record).items() if value is not None},
        }
        if self._has_trace(record):
            document["exception"] = self._redact(self._trace(record))
        return json.dumps(document, ensure_ascii=True, default=lambda value: self._redact(str(value)))

    def _value(self, value: object) -> object:
        return self._redact(value) if isinstance(value, str) else value

    def _has_trace(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_text or (record.exc_info and record.exc_info[0]))

    def _trace(self, record: logging.LogRecord) -> str:
        return record.exc_text or (self._plain.formatException(record.exc_info) if record.exc_info else "")


class LogBuffer(logging.Handler):
    """Keeps what is logged before it is known how and where to write it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; of very many the first are kept."""
        if len(self._kept) < _KEPT_LINES:
            self._kept.append(record)

    def hand_over(self, handler: logging.Handler) -> None:
        """Let another handler have what was kept."""
        kept, self._kept = self._kept, []
        for record in kept:
            handler.handle(record)


class Logging:
    """The logging of one process: buffered at first, then as it was asked for."""

    def __init__(
        self, write: Write, *, log_format: LogFormat, redact: Redact = str, level: int = logging.INFO
    ) -> None:
        """Change nothing yet; see `open`."""
        self._lines = LogLines(write, log_format=log_format, redact=redact)
        self._plain = LogLines(write, log_format=LogFormat.TEXT, redact=redact)
        self._buffer = LogBuffer()
        self._level = level
        for handler in (self._lines, self._buffer):
            handler.addFilter(note_ids)

    @contextmanager
    def open(self) -> Iterator[Logging]:
        """Take every line that is logged in the block; what is still kept at its end is written."""
        root, before = logging.getLogger(), logging.getLogger().level
        root.addHandler(self._buffer)
        root.setLevel(self._level)
        logging.captureWarnings(True)
        try:
            yield self
        finally:
            logging.captureWarnings(False)
            self.set_up()
            root.removeHandler(self._lines)
            root.setLevel(before)

    def set_up(self, *, is_kept: bool = True) -> None:
        """Write what was kept, and everything from now on as it comes.

        Args:
            is_kept: whether what came before is written in the format that was asked for; else as plain text.
        """
        root = logging.getLogger()
        if self._buffer in root.handlers:
            root.addHandler(self._lines)
            root.removeHandler(self._buffer)
            self._buffer.hand_over(self._lines if is_kept else self._plain)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Give what a record is about: what was logged with it, the job that it was logged in, the block's fields."""
    noted: Mapping[str, object] = getattr(record, "upgrader_ids", {})
    own = {
        name: value
        for name, value in vars(record).items()
        if name not in _OF_EVERY_RECORD and name != "upgrader_ids"
    }
    return {**noted, **own}


def note_ids(record: logging.LogRecord) -> bool:
    """Note with a record what it is about, where it is logged; a filter that takes all."""
    if not hasattr(record, "upgrader_ids"):
        job = current_job()
        ids = {**current_log_fields(), **(job.fields if job is not None else {})}
        record.upgrader_ids = ids
    return True


def _name(record: logging.LogRecord) -> str:
    """Give the logger's name; that of a module in a directory as its author knows it."""
    return _PRIVATE.sub("", record.name)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created).astimezone()
