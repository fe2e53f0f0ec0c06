"""The workflows of `docs/deploy`: their scripts are run, as far as that goes without a cluster and a registry."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.test_deploy import DEPLOY, MANIFESTS, VARIABLES

ENVIRONMENTS = {"demo": "-demo", "stage": "-stage", "production": ""}
KUBECTL = """#!/bin/sh
# A cluster with one Job, whose condition stands in a file; what is applied where there is none comes to $OUTCOME.
echo "$*" >> calls
case "$1 $2" in
  "wait --for=condition="*) [ -f job ] && [ "--for=condition=$(cat job)" = "$2" ] ;;
  delete*) rm job ;;
  apply*) cat > applied; [ -f job ] || echo "$OUTCOME" > job ;;
esac
"""
ENVSUBST = f"""#!{sys.executable}
import os, re, sys
sys.stdout.write(re.sub(r"\\$\\{{?([A-Za-z_]\\w*)\\}}?", lambda name: os.environ.get(name[1], ""), sys.stdin.read()))
"""
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_PLACEHOLDER = re.compile(r"\$\{?([A-Za-z_]\w*)")


def workflow(name: str) -> Any:
    """Give a workflow; `on` comes as True."""
    return yaml.safe_load((DEPLOY / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def step(name: str) -> Any:
    """Give a step of the deployment."""
    (job,) = workflow("deploy")["jobs"].values()
    (found,) = (one for one in job["steps"] if one.get("name") == name)
    return found


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A runner's working directory, with the manifests, a `kubectl` without a cluster, and `envsubst`."""
    manifests = tmp_path / "docs" / "deploy" / "kubernetes"
    manifests.mkdir(parents=True)
    for path in MANIFESTS:
        shutil.copy(path, manifests)
    for name, text in (("kubectl", KUBECTL), ("envsubst", ENVSUBST)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def run_step(runner: Path, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as the runner does, with these variables and no others."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step(name)["run"]],
        cwd=runner,
        env={"PATH": f"{runner / 'bin'}:{os.environ['PATH']}", "HOME": str(runner), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def calls(runner: Path) -> list[str]:
    return (runner / "calls").read_text().splitlines()


def applied(runner: Path) -> Any:
    """Give what was applied last; a placeholder that was filled with nothing would be missed in it."""
    text = (runner / "applied").read_text()
    assert not _PLACEHOLDER.search(text)
    return yaml.safe_load(text)


@pytest.mark.parametrize(
    ("before", "outcome", "code", "is_deleted"),
    [
        (None, "complete", 0, False),
        (None, "failed", 1, False),
        ("failed", "complete", 0, True),
        ("failed", "failed", 1, True),
        ("complete", "failed", 0, False),
    ],
)
def test_the_upgrade_of_a_deployment(
    runner: Path, before: str | None, outcome: str, code: int, is_deleted: bool
) -> None:
    """The step ends as the Job does; run again after a failure it begins another Job of the same commit."""
    if before is not None:
        (runner / "job").write_text(f"{before}\n")
    done = run_step(runner, "Upgrade the database", OUTCOME=outcome, **VARIABLES)
    assert done.returncode == code, done.stderr
    told = [call.split()[0] for call in calls(runner)]
    assert ("delete" in told) is is_deleted
    assert told[-1] == "logs"
    job = applied(runner)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert calls(runner)[-1] == f"logs job/{job['metadata']['name']}"
    assert container["image"] == "images.example/acme-upgrader-stage:" + VARIABLES["IMAGE_TAG"]


def test_the_roll_out_of_a_deployment(runner: Path) -> None:
    """The workers' manifest is filled in and applied, its Deployment restarted and waited for, in this order."""
    done = run_step(runner, "Roll the workers out", OUTCOME="complete", **VARIABLES)
    assert done.returncode == 0, done.stderr
    workers = applied(runner)
    name = f"deployment/{workers['metadata']['name']}"
    assert calls(runner) == [
        "apply -f -",
        f"rollout restart {name}",
        f"rollout status {name} --timeout=15m",
    ]
    (container,) = workers["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one.get("value") for one in container["env"]}
    for variable in ("QUEUE_ENABLED", "SCHEDULER_ENABLED", "DEFAULT_QUEUE", "TIMEZONE"):
        assert given[f"UPGRADER_WORKER__{variable}"] == VARIABLES[f"WORKER_{variable}"]


def test_the_database_is_upgraded_before_the_workers_are_new() -> None:
    """The step that fails where the upgrade does stands before the one that rolls the workers out."""
    (job,) = workflow("deploy")["jobs"].values()
    order = [one["name"] for one in job["steps"] if "name" in one]
    assert order == ["Reach the cluster", "Name the image", "Upgrade the database", "Roll the workers out"]
    assert not any("if" in one or "continue-on-error" in one for one in job["steps"])


def test_the_workflow_sets_every_variable_of_the_manifests(runner: Path) -> None:
    """Of the job, or of a step before; nothing that `envsubst` would leave empty."""
    (job,) = workflow("deploy")["jobs"].values()
    (runner / "github").touch()
    assert run_step(runner, "Name the image", ENVIRONMENT="stage", GITHUB_ENV="github").returncode == 0
    named = {line.partition("=")[0] for line in (runner / "github").read_text().splitlines()}
    wanted = {name for path in MANIFESTS for name in _PLACEHOLDER.findall(path.read_text(encoding="utf-8"))}
    assert wanted <= {*job["env"], *named}
    assert wanted == set(VARIABLES)


@pytest.mark.parametrize(("environment", "suffix"), ENVIRONMENTS.items())
def test_images_are_named_by_environment(runner: Path, environment: str, suffix: str) -> None:
    """The workflow that builds and the one that deploys agree on the image of an environment, and the page on both."""
    (runner / "github").touch()
    done = run_step(runner, "Name the image", ENVIRONMENT=environment, GITHUB_ENV="github")
    assert done.returncode == 0, done.stderr
    assert (runner / "github").read_text() == f"IMAGE_NAME=acme-upgrader{suffix}\n"
    image = workflow("build-publish")["jobs"]["image"]
    assert image["env"]["IMAGE_NAME"] == (
        "acme-upgrader${{ github.ref_name != 'production' && format('-{0}', github.ref_name) || '' }}"
    )
    assert image["steps"][-1]["with"]["tags"].splitlines() == [
        "${{ secrets.REGISTRY }}/${{ env.IMAGE_NAME }}:${{ github.sha }}",
        "${{ secrets.REGISTRY }}/${{ env.IMAGE_NAME }}:latest",
    ]
    table = (DEPLOY / "README.md").read_text(encoding="utf-8")
    name = f"$REGISTRY/acme-upgrader{suffix}"
    assert f"| {environment} | `{environment}` | `{name}:<commit>` and `:latest` |" in table


def test_one_workflow_serves_all_environments() -> None:
    """The branch that was pushed, or an input, is the environment; its secrets and its concurrency are its own."""
    build, deploy, migrate = (workflow(name) for name in ("build-publish", "deploy", "migrate"))
    names = list(ENVIRONMENTS)
    assert build[True]["push"]["branches"] == names
    assert deploy[True]["workflow_run"]["branches"] == names
    assert deploy[True]["workflow_run"]["workflows"] == [build["name"]]
    for one in (deploy, migrate):
        assert one[True]["workflow_dispatch"]["inputs"]["environment"]["options"] == names
    jobs = {"image": build["jobs"]["image"], **deploy["jobs"], **migrate["jobs"]}
    assert {name: job["environment"] for name, job in jobs.items()} == {
        "image": "${{ github.ref_name }}",
        "deploy": "${{ inputs.environment || github.event.workflow_run.head_branch }}",
        "upgrade": "${{ inputs.environment }}",
    }
    for one in (deploy, migrate):
        (job,) = one["jobs"].values()
        assert one["concurrency"]["group"].endswith(job["environment"])
        assert one["concurrency"]["cancel-in-progress"] is False


def test_a_cluster_is_reached_by_its_kubeconfig(runner: Path) -> None:
    """What stands in it comes into the file as it is, which nobody else may read; no provider's program is needed."""
    awkward = "users:\n- name: 'ci'\n  token: \"$HOME `id` ' it's\"\n"
    given = step("Reach the cluster")
    assert given["env"] == {"CLUSTER": "${{ secrets.KUBECONFIG }}"}
    done = run_step(runner, "Reach the cluster", CLUSTER=awkward)
    assert done.returncode == 0, done.stderr
    file = runner / ".kube" / "config"
    assert file.read_text() == awkward
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    used = [
        one["uses"].partition("@")[0]
        for one in workflow("deploy")["jobs"]["deploy"]["steps"]
        if "uses" in one
    ]
    assert used == ["actions/checkout", "azure/setup-kubectl"]


def test_a_registry_is_a_secret_of_its_environment() -> None:
    """One login and one push, to whichever registry that is; the image is built without any secret."""
    steps = {
        one["uses"].partition("@")[0]: one for one in workflow("build-publish")["jobs"]["image"]["steps"]
    }
    assert steps["docker/login-action"]["with"]["registry"] == "${{ secrets.REGISTRY }}"
    push = steps["docker/build-push-action"]["with"]
    assert push["push"] is True
    assert not {"build-args", "secrets", "secret-envs"} & set(push)
    assert (DEPLOY.parents[1] / push["context"] / push["file"]).resolve() == DEPLOY / "Dockerfile"


@pytest.mark.parametrize("name", ["build-publish", "deploy", "migrate"])
def test_no_script_has_an_expression_in_it(name: str) -> None:
    """What GitHub puts into a script is code there; secrets and names come as variables."""
    for job in workflow(name)["jobs"].values():
        for one in job["steps"]:
            assert not _EXPRESSION.search(one.get("run", "")), one["run"]
