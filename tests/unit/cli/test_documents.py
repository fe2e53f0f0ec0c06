"""The JSON documents: their fields are a promise."""

import json

from tests.unit.cli.builders import STARTED, UUID, attempt, result, run_report, step, workspace_step
from tests.unit.cli.test_renderings import SEQUENCE, plan_report
from tests.unit.sequence.builders import database, done, seq
from tests.unit.status.test_build import status
from upgrader.cli.failures import error_document
from upgrader.cli.render.documents import (
    Document,
    history_document,
    list_document,
    plan_document,
    run_document,
)
from upgrader.cli.render.json_text import json_pieces
from upgrader.cli.render.status_document import status_document
from upgrader.errors import LoadingError, Problem
from upgrader.model import Outcome, Scope
from upgrader.version import ApplicationVersion


def written(document: Document) -> str:
    return "".join(json_pieces(document, str))


def test_every_document_begins_alike_and_is_json() -> None:
    documents = [
        run_document(run_report(), 0),
        plan_document(plan_report(database(done(SEQUENCE))), 0),
        list_document([step()], ApplicationVersion.parse("1.0.0"), 0),
        history_document(iter([attempt()]), 0, limit=50),
        status_document(status(database(done(SEQUENCE))), 5, is_good=False),
        error_document(LoadingError([]), 2),
    ]
    for document in documents:
        assert list(document)[:3] == ["schema_version", "outcome", "exit_code"]
        assert document["schema_version"] == 1
        assert list(json.loads(written(document))) == list(document)


def test_a_run_tells_its_failures() -> None:
    failed = result(workspace_step(), Scope(UUID), error="No: no", attempt=2)
    document = run_document(run_report(failed, outcome=Outcome.FAILED), 1)
    assert (document["outcome"], document["exit_code"], document["completed"]) == ("failed", 1, 0)
    assert document["started_at"] == STARTED.isoformat()
    assert document["failures"] == [
        {
            "name": "1.0.0_AddY_1",
            "kind": "workspace",
            "version": "1.0.0",
            "workspace_id": UUID,
            "status": "failed",
            "attempt": 2,
            "tries": 1,
            "seconds": 0.25,
            "waited_seconds": 0.0,
            "paused_seconds": 0.0,
            "blockers": [],
            "error": "No: no",
        }
    ]


def test_a_plan_counts_workspaces_by_step() -> None:
    state = database(done(SEQUENCE, "f1 s2"), a=done(SEQUENCE), b=done(SEQUENCE, "w3"))
    document = plan_document(plan_report(state), 0)
    first = document["versions"][0]
    assert (first["version"], first["workspaces"]) == ("1.0.0", 1)
    assert [(one["name"], one["workspaces"]) for one in first["workspace_steps"]] == [("1.0.0_W3_3", 1)]
    assert document["workspaces"] == {"in_scope": 2, "out_of_scope": 0, "quarantined": 0}


def test_a_refused_plan_says_so() -> None:
    document = plan_document(plan_report(database(done(SEQUENCE, "s2 f4"))), 2)
    assert document["outcome"] == "refused"
    assert document["refusals"][0]["reason"] == "missing-steps"


def test_a_status_tells_whether_it_is_good() -> None:
    sequence = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6")
    some = done(sequence, "f1")
    document = status_document(status(database(some, a=some)), 5, is_good=False)
    assert document["good"] is False
    assert document["summary"]["behind"] == 1
    assert [row["id"] for row in json.loads(written(document))["workspaces"]] == ["a"]


def test_an_error_of_loading_has_all_its_problems() -> None:
    error = LoadingError([Problem("two of one name", ("a.py:1", "b.py:1"), "rename one")])
    assert error_document(error, 2)["error"]["problems"] == [
        {"message": "two of one name", "places": ["a.py:1", "b.py:1"], "remedy": "rename one"}
    ]


def test_a_bug_has_a_document_too() -> None:
    document = error_document(ValueError("no sense"), 70)
    assert document["outcome"] == "bug"
    assert document["error"] == {"message": "ValueError: no sense", "hint": None}
