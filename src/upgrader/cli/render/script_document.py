"""The script of what would be executed, as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.cli.render.documents import Document, envelope, step_fields

if TYPE_CHECKING:
    from upgrader.runner.script import Script, ScriptStatement, ScriptStep


def script_document(script: Script, exit_code: int, outcome: str) -> Document:
    """Give the steps with their statements, in the order of the run. `workspace` is null for the instance."""
    report = script.report
    return {
        **envelope(outcome, exit_code),
        "database": report.database,
        "server_version": script.server_version,
        "app_version": report.app_version,
        "first_upgrade": report.is_first,
        "steps": [_step(page) for page in script.steps],
        "not_in_script": [step_fields(step) for step in script.unseen],
        "deferred": [step_fields(step) for step in report.deferred],
        "refusals": [{"message": one.message, "hint": one.hint} for one in report.refusals],
        "warnings": list(report.warnings),
        "stop": None if report.stop is None else report.stop.message,
    }


def _step(page: ScriptStep) -> Document:
    workspace = page.workspace
    return {
        **step_fields(page.step),
        "place": page.step.place,
        "transactional": page.step.transactional,
        "depends_on_data": page.depends_on_data,
        "workspace": None if workspace is None else {"id": workspace.id, "schema": workspace.schema},
        "other_workspaces": list(page.others),
        "settings": dict(page.settings),
        "migration_settings": dict(page.migration_settings) if page.depends_on_data else {},
        "statements": [_statement(one) for one in page.statements],
        "statements_left_out": page.left_out,
        "problem": page.problem,
        "failed": page.has_failed,
    }


def _statement(statement: ScriptStatement) -> Document:
    return {
        "sql": statement.sql,
        "file": statement.file,
        "line": statement.line,
        "phase": statement.phase.value,
        "executed": statement.was_executed,
        "failed": statement.has_failed,
    }
