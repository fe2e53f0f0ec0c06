"""`--log-format json`: whatever an author's code says, and in whatever way, is a line that says what it is about."""

from __future__ import annotations

import json

from tests.support.project import Project

LOUD = """
import logging, sys, warnings
where = ctx.workspace.id
print(f"printed of {where}")
print(f"printed on stderr of {where}", file=sys.stderr)
logging.getLogger("shop").info("logged of %s", where)
warnings.warn(f"warned of {where}")
ctx.log.info("told of %s", where)
"""
WAYS = ("printed of", "printed on stderr of", "logged of", "warned of", "told of")


def test_what_authors_say_in_whatever_way(project: Project) -> None:
    """Every line of stderr is an object, with the ids of run, workspace and step; also of several lanes."""
    ids = [f"w{number}" for number in range(6)]
    project.create_workspaces(*ids)
    project.workspace("1.0.0", 1, "Loud", LOUD)
    done = project.run_cli("upgrade", "--log-format", "json", "--jobs", "3")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (run_id,) = {line["run_id"] for line in lines if line.get("event") == "run-started"}
    for one in ids:
        for way in WAYS:
            (said,) = [line for line in lines if f"{way} {one}" in line["message"]]
            assert (said.get("run_id"), said.get("workspace_id"), said.get("step")) == (
                run_id,
                one,
                "1.0.0_Loud_1",
            )


def test_what_authors_say_in_a_dry_run(project: Project) -> None:
    """Likewise."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Loud", LOUD)
    project.slow("1.0.0", 2, "Fill", migrate="import logging\nlogging.getLogger('shop').warning('filling')")
    done = project.run_cli("upgrade", "--log-format", "json", "--dry-run", "--include-slow")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    about = {
        line["message"].split("\n")[0].rpartition(": ")[2]: (line.get("workspace_id"), line.get("step"))
        for line in lines
        if line["logger"] in ("shop", "py.warnings", "upgrader")
    }
    assert about["filling"] == (None, "1.0.0_Fill_2")
    for way in WAYS[:2]:
        assert about[f"{way} a"] == ("a", "1.0.0_Loud_1")
