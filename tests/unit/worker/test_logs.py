"""Log lines: as text, as JSON, with their ids, and none lost before the logger is set up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from upgrader.log_fields import log_fields
from upgrader.worker.logs import LogFormat, Logging
from upgrader.worker.running import RunningJob, run_job

MINE = logging.getLogger("tests.mine")


@pytest.fixture(autouse=True)
def _quiet_otherwise() -> Iterator[None]:
    """Keep pytest's own handlers out of the way."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    yield
    root.handlers = before


def _redact(text: str) -> str:
    return text.replace("hush", "***")


def test_what_came_before_is_not_lost() -> None:
    """It is written first, in the format that was asked for, with its own time and ids."""
    lines: list[str] = []
    with Logging(lines.append, log_format=LogFormat.JSON, redact=_redact).open() as log:
        run_job(RunningJob("early", id=5), lambda: MINE.info("before: %s", "hush"))
        assert lines == []
        log.set_up()
        MINE.warning("after")
    found = [json.loads(line) for line in lines]
    assert [one["message"] for one in found if one["logger"] == "tests.mine"] == ["before: ***", "after"]
    assert (found[0]["job"], found[0]["job_id"]) == ("early", 5)
    assert found[-1]["level"] == "warning"
    assert found[-1]["time"].endswith("Z")


def test_what_is_never_set_up_is_written_at_the_end() -> None:
    """A start that fails says what led to it."""
    lines: list[str] = []

    def start() -> None:
        with Logging(lines.append, log_format=LogFormat.TEXT).open():
            MINE.info("this led to it")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        start()
    assert [line.partition(" tests.mine: ")[2] for line in lines] == ["this led to it"]
    MINE.error("nobody takes this any more")
    assert len(lines) == 1


def test_lines_that_are_not_kept_are_plain_text() -> None:
    """`log_buffered = false`."""
    lines: list[str] = []
    with Logging(lines.append, log_format=LogFormat.JSON).open() as log:
        MINE.info("before")
        log.set_up(is_kept=False)
        MINE.info("after")
    assert lines[0].endswith("INFO    tests.mine: before")
    assert json.loads(lines[1])["message"] == "after"


def test_lines_carry_what_they_are_about() -> None:
    """The block's fields, the job, what was logged with them; in text the ids alone."""
    for log_format in LogFormat:
        lines: list[str] = []
        with Logging(lines.append, log_format=log_format).open() as log:
            log.set_up()
            with log_fields(run_id="r1", workspace_id="w1"), log_fields(step="s1"):
                MINE.info("here", extra={"rows": 7})
            MINE.info("there")
        if log_format is LogFormat.JSON:
            here, there = map(json.loads, lines)
            assert {name: here[name] for name in ("run_id", "workspace_id", "step", "rows")} == {
                "run_id": "r1",
                "workspace_id": "w1",
                "step": "s1",
                "rows": 7,
            }
            assert "run_id" not in there
        else:
            assert lines[0].endswith("tests.mine: here [run_id=r1 workspace_id=w1 step=s1]")
            assert lines[1].endswith("tests.mine: there")


def test_a_traceback_is_part_of_its_line() -> None:
    """In JSON a field of it, redacted like all texts; a message with line breaks is still one line."""
    lines: list[str] = []
    with Logging(lines.append, log_format=LogFormat.JSON, redact=_redact).open() as log:
        log.set_up()
        try:
            raise ValueError("hush")
        except ValueError:
            MINE.exception("failed\nbadly")
    (found,) = map(json.loads, lines)
    assert found["message"] == "failed\nbadly"
    assert found["exception"].endswith("ValueError: ***")
    assert "\n" not in lines[0]


@pytest.mark.parametrize("log_format", LogFormat)
def test_modules_of_directories_have_the_names_that_their_authors_know(log_format: LogFormat) -> None:
    """`logging.getLogger(__name__)` in `jobs/mails/send.py` is `mails.send`, whatever it was loaded as."""
    lines: list[str] = []
    with Logging(lines.append, log_format=log_format).open() as log:
        log.set_up()
        logging.getLogger("_upgrader_jobs_1e392f3ddc9b5f66.mails.send").info("sent")
        logging.getLogger("_upgrader_jobs_of_mine").info("sent")
    names = [
        json.loads(line)["logger"] if log_format is LogFormat.JSON else line.split(":")[2].split()[-1]
        for line in lines
    ]
    assert names == ["mails.send", "_upgrader_jobs_of_mine"]
