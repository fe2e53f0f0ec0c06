"""What `docs/deploy` holds: checked against schemas, and run as far as that goes without a container engine."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.acceptance.test_metrics import free_port
from tests.support.documents import shell_environment
from tests.support.project import PROGRAM, Project
from tests.support.server import wait_until
from upgrader.settings import CommandLine, Settings, load_settings
from upgrader.worker.process import LATEST_END_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
WORKFLOWS = sorted((DEPLOY / "workflows").glob("*.yml"))
VARIABLES = {
    "REGISTRY": "images.example",
    "IMAGE_NAME": "acme-upgrader-stage",
    "IMAGE_TAG": "3f2a9c1d7e5b4a6f8c0d2e4f6a8b0c2d4e6f8a0b",
    "APP_VERSION": "1.22.0",
    "WORKER_QUEUE_ENABLED": "true",
    "WORKER_SCHEDULER_ENABLED": "true",
    "WORKER_DEFAULT_QUEUE": "worker-default",
    "WORKER_TIMEZONE": "UTC",
}
KUBERNETES = "1.34"
_BASE = """
    create schema core;
    create schema acme;
    create table core.workspace (id text primary key, display_name text, activation_status text, database_schema text);
    insert into core.workspace values ('acme', 'Acme', 'ACTIVE', 'acme');
"""


def manifest(path: Path) -> Any:
    """Give a manifest as `envsubst` leaves it; a variable that nobody sets is an error."""
    return yaml.safe_load(string.Template(path.read_text(encoding="utf-8")).substitute(VARIABLES))


def pod(path: Path) -> Any:
    return manifest(path)["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_is_valid(path: Path):
    """Kubernetes takes it, with no field that it does not know."""
    kubernetes_validate.validate(manifest(path), KUBERNETES, strict=True)


def test_invalid_manifest_is_found():
    """The schema that the manifests are held against does refuse something."""
    wrong = manifest(DEPLOY / "kubernetes" / "worker-deployment.yaml")
    wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def vendored(name: str) -> Any:
    """Give a schema that comes with check-jsonschema."""
    return json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / name).read_text("utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_valid(path: Path):
    """GitHub takes it, and each of its jobs has a limit of time."""
    found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Workflow)
    jsonschema.validate(found, vendored("github-workflows.json"))
    assert all("timeout-minutes" in job for job in found["jobs"].values())


class _Workflow(yaml.SafeLoader):
    """YAML 1.2 as GitHub reads it: `on` is a word."""


_Workflow.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Workflow.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def test_compose_file_is_valid():
    """Compose takes it; the workers begin when the upgrade has ended well."""
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(found, vendored("compose-spec.json"))
    waits = found["services"]["worker"]["depends_on"]["upgrade"]
    assert waits == {"condition": "service_completed_successfully"}
    build = found["services"]["worker"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_container_asks_for_what_it_needs(path: Path):
    """Requests and limits stand with each container."""
    found = pod(path)
    for container in [*found.get("initContainers", ()), *found["containers"]]:
        assert container["resources"]["requests"]["memory"], container["name"]
        assert container["resources"]["limits"]["memory"], container["name"]


def test_variables_of_the_containers_are_settings(tmp_path: Path):
    """Whatever is handed to the program in a manifest or by compose is something that it knows."""
    given: dict[str, str] = {}
    for path in MANIFESTS:
        found = pod(path)
        for container in [*found.get("initContainers", ()), *found["containers"]]:
            given |= {
                one["name"]: one.get("value", "postgresql://db/app") for one in container.get("env", ())
            }
    for service in compose().values():
        variables = service.get("environment", {})
        given |= {name: value for name, value in variables.items() if name.startswith("UPGRADER_")}
    given["UPGRADER_APP_VERSION"] = VARIABLES["APP_VERSION"]
    loaded = load_settings(directory=tmp_path, environment=given, overrides=CommandLine())
    assert loaded.warnings == ()
    assert len(given) >= 9


def test_the_worker_of_the_manifest(project: Project):
    """It runs with the variables of its container; where the probe looks it is seen."""
    project.configure(app_version="1.22.0")
    (container,) = pod(DEPLOY / "kubernetes" / "worker-deployment.yaml")["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    probe, port = container["livenessProbe"]["httpGet"], free_port()
    (listening,) = container["ports"]
    assert (probe["port"], given["UPGRADER_WORKER__METRICS_PORT"]) == (
        listening["name"],
        str(listening["containerPort"]),
    )
    worker = project.start_cli(*container["args"], env={**given, "UPGRADER_WORKER__METRICS_PORT": str(port)})
    try:

        def is_seen() -> bool:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}{probe['path']}", timeout=10) as answer:
                return b"upgrader_instance_health" in answer.read()
            return False

        wait_until(is_seen)
    finally:
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=60)
    assert worker.returncode == 0, told
    assert "scheduler on, queue on" in told


def test_upgrade_is_a_job_and_workers_are_many():
    """One Job for a release; a Deployment without a limit of one, whose pods wait for the upgrade."""
    job = manifest(DEPLOY / "kubernetes" / "upgrade-job.yaml")
    workers = manifest(DEPLOY / "kubernetes" / "worker-deployment.yaml")
    assert (job["kind"], workers["kind"]) == ("Job", "Deployment")
    assert len(job["metadata"]["name"]) <= 63
    assert workers["spec"]["replicas"] > 1
    chosen = workers["spec"]["selector"]["matchLabels"].items()
    assert chosen <= workers["spec"]["template"]["metadata"]["labels"].items()
    waiting = pod(DEPLOY / "kubernetes" / "worker-deployment.yaml")["initContainers"][0]
    assert waiting["args"][:2] == ["status", "--wait"]
    kinds = {manifest(path)["kind"] for path in MANIFESTS}
    assert kinds == {"Job", "Deployment"}  # headless: no Service, no Ingress


def test_workers_have_time_to_finish():
    """Whoever stops a worker waits for longer than it takes itself at most: in a cluster, by compose, by systemd."""
    spec = pod(DEPLOY / "kubernetes" / "worker-deployment.yaml")
    in_cluster = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    composed = compose()["worker"]
    key, default = "UPGRADER_WORKER__SHUTDOWN_TIMEOUT_SECONDS", Settings().worker.shutdown_timeout_seconds
    for given, patience in (
        (in_cluster.get(key), spec["terminationGracePeriodSeconds"]),
        (composed["environment"].get(key), composed["stop_grace_period"].removesuffix("s")),
        (None, unit()["Service"]["TimeoutStopSec"]),
    ):
        assert float(patience) > float(given or default) + LATEST_END_SECONDS


def test_upgrades_have_time_to_finish_their_step():
    """A step in progress is finished after SIGTERM: ten seconds, as containers have by default, may cut it off."""
    in_cluster = pod(DEPLOY / "kubernetes" / "upgrade-job.yaml")["terminationGracePeriodSeconds"]
    assert compose()["upgrade"]["stop_grace_period"] == f"{in_cluster}s" == "600s"


def compose() -> Any:
    """Give the services of the compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_a_database_that_is_away_kills_no_worker():
    """The page that the probe reads waits for the database no longer than the probe does."""
    (worker,) = pod(DEPLOY / "kubernetes" / "worker-deployment.yaml")["containers"]
    assert worker["livenessProbe"]["timeoutSeconds"] > Settings().connect_timeout_seconds


def instructions() -> list[tuple[str, str]]:
    """Give the Dockerfile's instructions in order."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    found = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, rest in found]


def test_image_is_slim_and_without_rights():
    """Two stages, both slim; the second installs nothing and is run by nobody in particular."""
    found = instructions()
    stages = [rest for name, rest in found if name == "FROM"]
    assert len(stages) == 2
    assert all("-slim" in stage for stage in stages)
    second = found[[name for name, _ in found].index("FROM", 2) :]
    assert not any("pip" in rest for name, rest in second if name == "RUN")
    assert ("USER", "10001:10001") in second
    assert ("ENTRYPOINT", '["upgrader"]') in second
    assert ("CMD", '["worker"]') in second
    assert ("STOPSIGNAL", "SIGTERM") in second
    copied = [rest for name, rest in second if name == "COPY"]
    assert copied == ["--from=build /opt/upgrader /opt/upgrader", "pyproject.toml ./", "commands commands"]


def test_nothing_is_configured_as_the_image_is_built():
    """What can be given then is the Python and what is installed; settings and secrets are given as it runs."""
    found = instructions()
    arguments = {rest.partition("=")[0] for name, rest in found if name == "ARG"}
    assert arguments == {"PYTHON_VERSION", "UPGRADER"}
    variables = {
        one.partition("=")[0] for name, rest in found if name == "ENV" for one in rest.split() if "=" in one
    }
    assert variables == {
        "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR",
    }  # fmt: skip


def test_commands_of_the_image(tmp_path: Path, project: Project):
    """The lines that install it, in a clean virtual environment; the program it gives upgrades a database."""
    context, target, work = tmp_path / "context", tmp_path / "opt", tmp_path / "app"
    kept = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "tests")
    shutil.copytree(ROOT, context, ignore=kept)
    work.mkdir()
    is_second = False
    arguments: dict[str, str] = {}
    for name, rest in instructions():
        is_second = is_second or (name == "FROM" and "AS build" not in rest)
        if name == "ARG":
            key, _, default = rest.partition("=")
            arguments[key] = default.strip('"')
        elif name == "RUN" and not is_second:
            line = rest.replace("/opt/upgrader", str(target)).replace("${UPGRADER}", arguments["UPGRADER"])
            _run(re.sub(r"^python\b", sys.executable, line), context)
        elif name == "COPY" and is_second and not rest.startswith("--from"):
            source = context / rest.split()[0]
            (shutil.copytree if source.is_dir() else shutil.copy)(source, work / source.name)
    program = str(target / "bin" / "upgrader")
    environment = shell_environment(project.home, UPGRADER_DATABASE_URL=project.database_url)
    listed = subprocess.run(
        [program, "list"], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert (listed.returncode, "1.21.0" in listed.stdout) == (0, True), listed.stderr
    worker = subprocess.run(
        [program, "worker", "--help"], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert (worker.returncode, "Usage: upgrader worker" in worker.stdout) == (0, True), worker.stderr
    assert (work / "commands").is_dir()
    project.fast("1.0.0", 1, "MakeSomething", "create table something (n int)")
    upgrade = subprocess.run(
        [program, "upgrade"],
        cwd=project.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (upgrade.returncode, "1 step completed" in upgrade.stdout) == (0, True), upgrade.stderr
    assert project.query("select to_regclass('something') is not null") == [(True,)]
    extras = "import opentelemetry.sdk, procrastinate, apscheduler"
    _run(f"{target}/bin/python -c '{extras}'", work)


def _run(line: str, directory: Path) -> None:
    # Bytecode of a dozen libraries is half of what it costs, and nothing of what it shows.
    done = subprocess.run(
        ["sh", "-e", "-c", line],
        cwd=directory,
        env={**os.environ, "PIP_NO_COMPILE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"


def unit() -> configparser.ConfigParser:
    """Give the systemd unit."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # keys keep their case; typeshed knows no better
    parser.read(DEPLOY / "systemd" / "upgrader-worker.service", encoding="utf-8")
    return parser


def test_unit_is_valid(tmp_path: Path):
    """systemd takes it, where there is one to ask; what it runs is the worker, after the upgrade."""
    found = unit()
    assert found["Service"]["ExecStart"].endswith("/upgrader worker")
    assert "status --wait" in found["Service"]["ExecStartPre"]
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # the checks above are all that can be made without it
    text = (DEPLOY / "systemd" / "upgrader-worker.service").read_text(encoding="utf-8")
    copy = tmp_path / "upgrader-worker.service"
    copy.write_text(text.replace("/srv/acme/.venv/bin/upgrader", str(PROGRAM)), encoding="utf-8")
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "upgrader-worker.service" not in done.stderr, done.stderr


def program_lines() -> Iterator[tuple[str, str]]:
    """Give every line that calls the program, with where it stands."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    if line.startswith("upgrader "):
                        yield path.name, line
    for path in MANIFESTS:
        found = pod(path)
        for container in [*found.get("initContainers", ()), *found["containers"]]:
            if "args" in container:
                yield path.name, shlex.join(["upgrader", *container["args"]])
    for service in compose().values():
        if "command" in service:
            yield "compose.yaml", shlex.join(["upgrader", *service["command"]])
    for key in ("ExecStartPre", "ExecStart"):
        yield "upgrader-worker.service", unit()["Service"][key].replace("/srv/acme/.venv/bin/", "")


def test_every_line_that_calls_the_program(project: Project):
    """In the order of a deployment: looks, upgrade, waits; then a worker, until SIGTERM."""
    project.write("base.sql", _BASE)
    project.configure(app_version="1.22.0", check={"base_schema": "base.sql"})
    project.create_workspaces("acme", "globex")
    project.fast("1.22.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.slow("1.22.0", 2, "FillNote", "COMMENT ON COLUMN core.workspace.note IS 'for people'")
    project.workspace("1.22.0", 3, "AddTable", "CREATE TABLE thing (id bigint)")
    lines = dict.fromkeys(line for _, line in program_lines())
    order = ["list", "check", "preflight", "plan", "upgrade", "status"]
    ran = sorted(
        (line for line in lines if line != "upgrader worker"), key=lambda line: order.index(line.split()[1])
    )
    for line in ran:
        done = project.run_cli(*shlex.split(line)[1:])
        assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
    assert {line.split()[1] for line in ran} == set(order)
    assert "upgrader worker" in lines
    worker = project.start_cli("worker")
    wait_until(lambda: "1 worker at work" in project.run_cli("worker", "status").stdout)
    worker.send_signal(signal.SIGTERM)
    _, told = worker.communicate(timeout=60)
    assert worker.returncode == 0, told
