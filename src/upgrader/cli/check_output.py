"""Writes what `upgrader check` found: to stdout, or to a file with the text beside it on stdout."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.check_format import CheckFormat
from upgrader.cli.render.blocks import to_text
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.cli.invocation import Invocation


def check_writable(path: Path) -> None:
    """Look whether a file can be written, before anything is done that would be lost; makes it.

    Raises:
        OperatorError: it cannot.
    """
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def show_check(
    invocation: Invocation, report: CheckReport, format_: CheckFormat, path: Path | None, code: int
) -> None:
    """Write a report.

    Raises:
        OperatorError: the file cannot be written after all.
    """
    from upgrader.cli.render.check import check_blocks

    output = invocation.output
    if format_ is not CheckFormat.TEXT:
        text = _text(invocation, report, format_, code)
        if path is None:
            output.show_exactly(text.removesuffix("\n"))
            return
        _write(path, text)
    elif path is not None:
        _write(path, to_text(check_blocks(report, here=Path.cwd()), redact=output.redact))
    output.show(*check_blocks(report, here=Path.cwd()))


def _text(invocation: Invocation, report: CheckReport, format_: CheckFormat, code: int) -> str:
    from upgrader.cli.render.check_document import check_document
    from upgrader.cli.render.check_github import github_text
    from upgrader.cli.render.check_junit import junit_text
    from upgrader.cli.render.check_sarif import sarif_document

    output, here = invocation.output, Path.cwd()
    match format_:
        case CheckFormat.JSON:
            return output.json_text(check_document(report, code, here=here))
        case CheckFormat.SARIF:
            fallback = invocation.loaded.config_file
            document = sarif_document(
                report, root=repository_root(here), program_version=version("upgrader"), fallback=fallback
            )
            return output.json_text(document)
        case CheckFormat.JUNIT:
            return junit_text(report, here=here, redact=output.redact)
        case _:
            return github_text(report, root=repository_root(here), redact=output.redact)


def repository_root(directory: Path) -> Path:
    """Give the root of the repository that a directory is in; itself, where it is in none."""
    real = Path(os.path.realpath(directory))
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), real)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"{path} cannot be written: {error.strerror or error}",
        hint="name a file in a folder that is there with --output FILE, or leave it out: stdout takes it then",
    )
