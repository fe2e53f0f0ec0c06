"""Documents whose fenced blocks are run: taken apart, and run one after the other in a directory.

    console   `$ command` lines, each with excerpts of what it prints; `…` stands for anything
    python    written to the file that the line above names, and loaded
    toml      written to the file that the line above names, and loaded as settings
    yaml      written to the file that the line above names, and read
    sh        written to the file that the line above names
    sql       executed

A block below the comment `<!-- not run: REASON -->` is left alone. A command may fail only where `$ echo $?`
follows it.
"""

from __future__ import annotations

import os
import re
import runpy
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import yaml

from upgrader.registry import load
from upgrader.settings import load_settings

COMMAND_SECONDS = 120.0

_FENCE = re.compile(r"(?P<ticks>`{3,})(?P<language>[a-z]*)")
_HEADING = re.compile(r"(?P<level>#{2,3}) (?P<title>.+)")
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->")
_NAMED_FILE = re.compile(r"`(?P<file>[^`\s]+)`[^`]*:")
_TIMESTAMP = re.compile(r"(?<=\", )[0-9]{13}\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        line: where it begins.
        part: the `##` heading above it.
        section: the `###` heading above it; "" between the two.
        file: the file that the line above it names.
        not_run: why it is not run; None where it is.
    """

    language: str
    text: str
    line: int
    part: str
    section: str
    file: str | None
    not_run: str | None


def blocks_of(document: Path) -> list[Block]:
    """Give the fenced blocks of a Markdown file, in order."""
    return list(_blocks(document.read_text(encoding="utf-8").splitlines()))


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    part, section, above, number = "", "", "", 0
    while number < len(lines):
        line = lines[number]
        fence = _FENCE.fullmatch(line)
        heading = _HEADING.fullmatch(line)
        if fence is not None:
            end = lines.index(fence["ticks"], number + 1)
            named, reason = _NAMED_FILE.search(above), _NOT_RUN.search(above)
            yield Block(
                language=fence["language"],
                text="\n".join(lines[number + 1 : end]) + "\n",
                line=number + 1,
                part=part,
                section=section,
                file=named["file"] if named else None,
                not_run=reason["reason"] if reason else None,
            )
            above, number = "", end
        elif heading is not None:
            is_part = heading["level"] == "##"
            part, section = (heading["title"], "") if is_part else (part, heading["title"])
        if line.strip():
            above = line
        number += 1


@dataclass
class Workbench:
    """A directory with a shell in it, in which blocks are run.

    Attributes:
        database_url: where SQL is executed; None where there is no server to connect to.
        names: words of the document that are other ones here: roles, which all databases of a server share.
    """

    directory: Path
    environment: Mapping[str, str]
    database_url: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def run(self, blocks: Sequence[Block]) -> None:
        """Run blocks in order.

        Raises:
            AssertionError: one did not do what it says.
        """
        shell = Shell(self.directory, self.environment)
        try:
            for block in blocks:
                if block.not_run is None:
                    self._run(block, shell)
        finally:
            shell.close()

    def _run(self, block: Block, shell: Shell) -> None:
        text = block.text
        for word, here in self.names.items():
            text = text.replace(word, here)
        match block.language:
            case "console":
                run_console(text, shell, place=f"line {block.line}")
            case "python":
                self._load(self._write(block, text))
            case "toml":
                self._write(block, text)
                load_settings(directory=self.directory, environment=self.environment)
            case "sh":
                self._write(block, text)
            case "yaml":
                yaml.safe_load(self._write(block, text).read_text(encoding="utf-8"))
            case "sql":
                assert self.database_url is not None, f"line {block.line}: there is no server for SQL"
                with psycopg.connect(self.database_url, autocommit=True) as connection:
                    connection.execute(text.encode())
            case _:
                raise AssertionError(f"line {block.line}: nobody runs {block.language or 'a plain block'}")

    def _write(self, block: Block, text: str) -> Path:
        assert block.file is not None, f"line {block.line}: the line above names no file"
        if "…" in block.file:  # one that `generate` wrote, under the time of this run
            (path,) = self.directory.glob(block.file.replace("…", "*"))
            text = _TIMESTAMP.sub(path.name.split("_")[0], text)
        path = path if "…" in block.file else self.directory / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _load(self, path: Path) -> None:
        commands = self.directory / "commands"
        if commands in path.parents:
            load([commands], base=self.directory)
        else:
            runpy.run_path(str(path), run_name="document")


def run_console(text: str, shell: Shell, *, place: str) -> None:
    """Run the commands of a console block, and compare what they print."""
    commands: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands and commands[-1][0].endswith("\\") and not commands[-1][1]:
            commands[-1] = (f"{commands[-1][0]}\n{line}", [])
        else:
            commands[-1][1].append(line)
    for number, (command, expected) in enumerate(commands):
        output, code = shell.run(command)
        told = f"{place}: $ {command}\n--- exit {code}, printed\n{output}"
        is_asked = number + 1 < len(commands) and commands[number + 1][0] == "echo $?"
        assert code == 0 or is_asked, told
        assert "Traceback" not in output, told
        missing = missing_line(output, expected)
        assert missing is None, f"{told}\n--- not printed, or not in this order\n{missing}"


def missing_line(output: str, expected: Sequence[str]) -> str | None:
    """Give the first expected line that is not in the output, below the one before it; None if all are.

    Blanks count as one; `…` stands for anything, a line of its own for any lines.
    """
    printed = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in expected:
        wanted = " ".join(line.split())
        if wanted in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(piece) for piece in wanted.split("…")))
        if not any(pattern.fullmatch(one) for one in printed):
            return line
    return None


class Shell:
    """One bash for all commands of a section: variables, jobs and the working directory stay."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._mark = f"end-{secrets.token_hex(8)}"
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[str, int]:
        """Run a command; give what it wrote to both streams, and its exit code."""
        process = self._process
        assert process.stdin is not None
        script = (
            f"{{ {command}\n}} </dev/null; code=$?; printf '\\n{self._mark} %s\\n' \"$code\"; (exit $code)\n"
        )
        process.stdin.write(script.encode())
        process.stdin.flush()
        output, code = self._read().rsplit(f"\n{self._mark} ", 1)
        return output, int(code)

    def close(self) -> None:
        """End the shell and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        found, give_up = b"", time.monotonic() + COMMAND_SECONDS
        end = re.compile(rf"\n{self._mark} \d+\n$".encode())
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not end.search(found):
                assert selector.select(max(0.0, give_up - time.monotonic())), f"it takes too long:\n{found!r}"
                piece = os.read(self._process.stdout.fileno(), 65536)
                assert piece, f"the shell ended:\n{found!r}"
                found += piece
        return found.decode()


def shell_environment(home: Path, **variables: str) -> dict[str, str]:
    """Give the variables of a shell in which `upgrader` and `python` are those of the tests."""
    programs = Path(sys.executable).parent
    inherited = {key: os.environ[key] for key in ("TMPDIR", "LD_LIBRARY_PATH") if key in os.environ}
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**inherited, "PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **variables}
