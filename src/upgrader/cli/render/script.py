"""The script of what would be executed, as SQL with comments; made for reading, and it runs in psql."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.wording import called, counted, first_lines, kind_of, moment
from upgrader.runner.script import Phase

if TYPE_CHECKING:
    from upgrader.runner.script import Script, ScriptStatement, ScriptStep

Redact = Callable[[str], str]

_WIDTH = 78
_OTHERS_AT_MOST = 10
_TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK")


def script_text(script: Script, *, redact: Redact) -> str:
    """Give the whole script.

    Args:
        redact: takes secrets out; a statement that is not what would run any more says so.
    """
    return "\n".join(_lines(script, redact))


def script_notes(script: Script, *, redact: Redact) -> Iterator[Block]:
    """Tell people what the script does not hold."""
    for page in script.steps:
        where = f" in workspace {page.workspace.label}" if page.workspace else ""
        name = f"{page.step.name}{where}"
        if page.has_failed:
            continue  # told as the error
        if page.problem is not None:
            yield _warning(f"{name} is not whole: {first_lines(page.problem, 1)}")
        elif not page.statements:
            yield _warning(f"{name} executed nothing that could be seen (the raw driver is not watched)")
        if page.left_out:
            yield Line(f"{name}: {counted(page.left_out, 'more statement')} like those shown")
    if script.unseen:
        yield _warning(f"not in the script: {', '.join(step.name for step in script.unseen)}")
    hidden = sum(redact(one.sql) != one.sql for page in script.steps for one in page.statements)
    if hidden:
        yield _warning(f"secrets were taken out of {counted(hidden, 'statement')}: *** stands for them")


def _warning(text: str) -> Line:
    return Line(text, label="warning:", style="warning")


def _lines(script: Script, redact: Redact) -> Iterator[str]:
    report = script.report
    server = f"PostgreSQL {script.server_version}" if script.server_version else "PostgreSQL"
    yield from _comment(
        f"What `upgrader upgrade` would execute on {report.database} ({server}), application {report.app_version}."
    )
    yield from _comment(
        f"Made {moment(report.started_at)} by trying the steps and rolling them back; nothing was changed. For"
        " review: it writes no history, so that `upgrader upgrade` would run all of it again."
    )
    for version, pages in groupby(script.steps, key=lambda page: page.step.version.text):
        yield from ("", f"-- {'=' * (_WIDTH - 3)}", f"-- {version}", f"-- {'=' * (_WIDTH - 3)}")
        for page in pages:
            yield ""
            yield from _page(page, redact)
    yield ""
    yield from _end(script)


def _page(page: ScriptStep, redact: Redact) -> Iterator[str]:
    step = page.step
    yield f"-- {step.name} ({kind_of(step.kind.value)})"
    yield from _comment(step.summary)
    yield from _comment(step.place)
    yield from _comment(_scope(page))
    if not step.transactional:
        yield from _comment("Runs outside a transaction.")
    if page.depends_on_data:
        yield from _migration(page, redact)
    yield from _body(page, redact)


def _scope(page: ScriptStep) -> str:
    if page.workspace is None:
        return ""
    if not page.others:
        return f"In workspace {page.workspace.label}."
    shown = ", ".join(page.others[:_OTHERS_AT_MOST])
    rest = len(page.others) - _OTHERS_AT_MOST
    more = f" and {rest:,} more" if rest > 0 else ""
    return (
        f"In workspace {page.workspace.label}, the first of {len(page.others) + 1:,} with the same steps"
        f" before them; the others: {shown}{more}."
    )


def _migration(page: ScriptStep, redact: Redact) -> Iterator[str]:
    yield from _comment(
        "Data migration, in transactions of its own: what it executes depends on the rows that are there."
    )
    for one, mark in _marked(page, Phase.DATA_MIGRATION):
        if one.sql in _TRANSACTION_WORDS:
            yield f"{one.sql};"
            if one.sql == "BEGIN":
                yield from _settings(page.migration_settings, is_local=True)
        else:
            yield from _statement(one, mark, redact)
    if page.left_out:
        yield from _comment(f"… and {counted(page.left_out, 'more statement')} like these.")


def _body(page: ScriptStep, redact: Redact) -> Iterator[str]:
    is_local = page.step.transactional
    if is_local:
        yield "BEGIN;"
    yield from _settings(page.settings, is_local=is_local)
    for one, mark in _marked(page, Phase.COMMAND):
        yield from _statement(one, mark, redact)
    if page.left_out and not page.depends_on_data:
        yield from _comment(f"… and {counted(page.left_out, 'more statement')}.")
    if page.problem is not None:
        word = "FAILED" if page.has_failed else "NOT WHOLE"
        yield from _comment(f"{word}: {redact(first_lines(page.problem, 1))}")
    if is_local:
        yield "ROLLBACK;" if page.has_failed else "COMMIT;"
    else:
        yield from (f"RESET {name};" for name in page.settings)


def _settings(settings: Mapping[str, str], *, is_local: bool) -> Iterator[str]:
    """Set what the run sets; a time is in milliseconds."""
    for name, value in settings.items():
        written = f"'{value}ms'" if value.isdigit() and value != "0" else value
        yield f"SET {'LOCAL ' if is_local else ''}{name} = {written};"


def _marked(page: ScriptStep, phase: Phase) -> Iterator[tuple[ScriptStatement, str]]:
    """Give the statements of a phase, each with the line that issued it unless it is that of the one before."""
    last = ""
    for one in page.statements:
        if one.phase is phase:
            mark = f"{PurePath(one.file).name}:{one.line}" if one.file else ""
            yield one, mark if mark != last else ""
            last = mark


def _statement(statement: ScriptStatement, mark: str, redact: Redact) -> Iterator[str]:
    sql = redact(statement.sql)
    is_hidden = sql != statement.sql
    remarks = [
        mark,
        "not executed while this script was made" if not statement.was_executed else "",
        "a secret was taken out, *** stands for it" if is_hidden else "",
        "the server refused it" if statement.has_failed else "",
    ]
    yield from _comment("; ".join(filter(None, remarks)))
    # With *** in it a statement would do something else, if anything.
    is_off = statement.has_failed or is_hidden
    yield textwrap.indent(f"{sql};", "-- ", lambda _: True) if is_off else f"{sql};"


def _end(script: Script) -> Iterator[str]:
    report = script.report
    if report.refusals:
        yield "-- Nothing would run as it stands:"
        for refusal in report.refusals:
            yield from _comment(f"{refusal.message} ({refusal.hint})")
        return
    if not script.steps and not script.unseen:
        yield "-- Nothing to run."
    if script.unseen:
        yield from _comment(f"NOT IN THIS SCRIPT: {', '.join(called(step) for step in script.unseen)}.")
    if report.deferred:
        names = ", ".join(called(step) for step in report.deferred)
        yield from _comment(f"Deferred, only with --include-slow: {names}.")
    if report.stop is not None:
        yield from _comment(report.stop.message)


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from (
            f"-- {piece}"
            for piece in textwrap.wrap(line, _WIDTH - 3, break_long_words=False, break_on_hyphens=False)
        )
