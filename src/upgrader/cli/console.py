"""Where output goes: data to stdout, words for people to stderr; no secret and no control character in either."""

from __future__ import annotations

import io
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from upgrader.cli.render.blocks import Block, Line, clean, to_text
from upgrader.cli.render.json_text import json_pieces
from upgrader.errors import LoadingError, PreflightError, UpgraderError

if TYPE_CHECKING:
    from upgrader.redaction import Redactor

_PLAIN = str.maketrans({"…": "...", "\u2013": "-", "\u00d7": "x"})


class Output:
    """The two streams of the process, with what is known of them.

    A reader that leaves early (`| head -1`) ends nothing: what was still to be written is dropped.

    Attributes:
        colour: whether anything may be coloured.
        write_error: why something could not be written (a full disk); a reader that left is no error.
        above: takes text for stderr while something on the last line of the terminal is being updated.
        records: takes level and text of what is said to people, where that is to be log lines.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, *, environment: Mapping[str, str]) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._own_stdout: TextIO | None = None  # the stream itself, while its file is a copy's
        self._columns = environment.get("COLUMNS", "")
        self._secrets: tuple[str, ...] = ()
        self._is_within_json = False
        self._redactor: Redactor | None = None
        self.colour = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        self.write_error: OSError | None = None
        self.above: Callable[[str], None] | None = None
        self.records: Callable[[str, str], None] | None = None
        for stream in (stdout, stderr):
            _make_lenient(stream)

    @classmethod
    def of_process(cls) -> Output:
        """Take the streams of this process; one that is closed takes everything and keeps nothing."""
        return cls(sys.stdout or _nowhere(), sys.stderr or _nowhere(), environment=os.environ)

    def keep_stdout(self) -> None:
        """Take stdout for this program alone: what commands and their children write there goes to stderr."""
        try:
            if self._stdout.fileno() != 1 or self._own_stdout is not None:
                return
            self._stdout.flush()
            copy = os.dup(1)
            os.dup2(2, 1)
        except (OSError, ValueError):  # a stream that is no file, or is closed
            return
        encoding, errors = self._stdout.encoding, self._stdout.errors
        self._own_stdout, self._stdout = self._stdout, os.fdopen(copy, "w", encoding=encoding, errors=errors)

    def give_stdout_back(self) -> None:
        """End what `keep_stdout` began."""
        if self._own_stdout is None:
            return
        self._write(self._stdout, "")
        os.dup2(self._stdout.fileno(), 1)
        with suppress(OSError):
            self._stdout.close()
        self._stdout, self._own_stdout = self._own_stdout, None

    @property
    def stderr(self) -> TextIO:
        """The stream for people."""
        return self._stderr

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal on which a line may be updated."""
        return self._stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def stdout_width(self) -> int | None:
        """The width for data; None: not to be folded."""
        return self._width(self._stdout)

    @property
    def stderr_width(self) -> int | None:
        """The width for people; None: not to be folded."""
        return self._width(self._stderr)

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Hide these values from now on."""
        self._secrets = (*self._secrets, *secrets)
        self._redactor = None

    def redact(self, text: str) -> str:
        """Take secrets out of a text."""
        if self._redactor is None:
            from upgrader.redaction import Redactor

            self._redactor = Redactor().with_secrets(*self._secrets)
        return self._redactor.redact(text)

    def show(self, *blocks: Block) -> None:
        """Write data to stdout, as people read it."""
        self._write(self._stdout, self._text(self._stdout, blocks))

    def show_exactly(self, text: str) -> None:
        """Write one line to stdout as it is."""
        self._write(self._stdout, text + "\n")

    def show_source(self, text: str) -> None:
        """Write text to stdout to the letter; only a terminal is spared its control characters."""
        self._write(self._stdout, (clean(text) if self._stdout.isatty() else text) + "\n")

    def show_json(self, document: Mapping[str, Any]) -> None:
        """Write one document to stdout, unless one that was begun broke off: two would be none."""
        if self._is_within_json:
            return
        self._is_within_json = True
        for piece in json_pieces(document, self.redact):
            self._write(self._stdout, piece)
        self._is_within_json = False

    def json_text(self, document: Mapping[str, Any]) -> str:
        """Give one document as text, without secrets."""
        return "".join(json_pieces(document, self.redact))

    def tell(self, *blocks: Block) -> None:
        """Write to stderr."""
        if self.records is not None:
            for level, message in _as_records(blocks):
                self.records(level, message)
            return
        text = self._text(self._stderr, blocks)
        if self.above is not None:
            self.above(text)
        else:
            self._write(self._stderr, text)

    def log_line(self, line: str) -> None:
        """Write a log line to stderr: its secrets are out already."""
        text = "\n".join(map(clean, line.split("\n"))) + "\n"
        if self.above is not None:
            self.above(text)
        else:
            self._write(self._stderr, text)

    def warn(self, sentence: str) -> None:
        """Write a warning to stderr."""
        self.tell(Line(sentence, label="warning:", style="warning"))

    def problem(self, message: str, hint: str | None = None) -> None:
        """Write `error:` and `hint:` to stderr."""
        self.tell(*problem_blocks(message, hint))

    def failure(self, error: UpgraderError) -> None:
        """Write an error of the product to stderr, with all that it carries."""
        self.tell(*error_blocks(error))

    def flush(self) -> None:
        """Write out what is left, so that nothing is said of it when the interpreter ends."""
        for stream in (self._stdout, self._stderr):
            self._write(stream, "")

    def _text(self, stream: TextIO, blocks: Iterable[Block]) -> str:
        colour = self.colour and stream.isatty()
        return to_text(blocks, width=self._width(stream), colour=colour, redact=self.redact)

    def _width(self, stream: TextIO) -> int | None:
        if self._columns.isdigit() and int(self._columns) > 0:
            return int(self._columns)
        return shutil.get_terminal_size().columns if stream.isatty() else None

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text if _takes_unicode(stream) else text.translate(_PLAIN))
            stream.flush()
        except BrokenPipeError:
            _let_go(stream)
        except OSError as error:
            _let_go(stream)
            self.write_error = self.write_error or error


class AuthorPrints(io.TextIOBase):
    """In place of `sys.stdout` while authors' code runs: what it prints is for people, each thread's by the line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begun = threading.local()

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take text and pass whole lines on."""
        *lines, self._begun.text = (getattr(self._begun, "text", "") + text).split("\n")
        if lines:
            self._output.tell(*(Line(line, verbatim=True) for line in lines))
        return len(text)


def problem_blocks(message: str, hint: str | None = None) -> list[Block]:
    """Give the two lines that every error is."""
    blocks: list[Block] = [Line(message, label="error:", style="error")]
    return [*blocks, Line(hint, label="hint:", style="hint")] if hint else blocks


def error_blocks(error: UpgraderError) -> list[Block]:
    """Give an error with all that it carries: the problems of the command modules each with its places."""
    if isinstance(error, PreflightError):
        refused = [one for one in error.findings if one.level == "refuse"]
        return [block for one in refused for block in problem_blocks(one.message, one.hint)]
    if not isinstance(error, LoadingError):
        return problem_blocks(error.message, error.hint)
    blocks: list[Block] = [Line(error.message, label="error:", style="error")]
    for problem in error.problems:
        blocks.append(Line(problem.message, label="-", indent=2))
        blocks += [Line(place, indent=6, verbatim=True) for place in problem.places]
        blocks += [Line(problem.remedy, label="->", indent=6, style="hint")] if problem.remedy else []
    return [*blocks, Line(error.hint, label="hint:", style="hint")] if error.hint else blocks


def _as_records(blocks: Iterable[Block]) -> Iterator[tuple[str, str]]:
    """Give what is said as level and text; a hint belongs to the error before it, details to what they follow."""
    level, lines = "", list[str]()
    for block in blocks:
        label = block.label.rstrip(":") if isinstance(block, Line) else ""
        is_more = label == "hint" or (isinstance(block, Line) and block.indent > 0)
        if lines and not is_more:
            yield level, "\n".join(lines)
            lines = []
        if not lines:
            level = label if label in ("error", "warning") else "info"
        text = to_text([block]).rstrip("\n")
        lines.append(text.removeprefix(f"{level}: "))
    if lines:
        yield level, "\n".join(lines)


def _make_lenient(stream: TextIO) -> None:
    """Let a letter that the locale cannot write be written as an escape."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _takes_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def _let_go(stream: TextIO) -> None:
    """Point a stream whose reader has left to nowhere: at the interpreter's end it is flushed once more."""
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
    except (OSError, ValueError):
        pass


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")
