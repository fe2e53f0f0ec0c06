"""django-tenants: `migrate_schemas` for the tenants, in a virtual environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.bench.stage import PROCESS_SECONDS, Stage
from tests.support.server import with_parameters

EXECUTORS = ("standard", "multiprocessing")
PROCESSES = 4
_REQUIREMENTS = ("django>=5.2,<6", "django-tenants>=3.7", "psycopg[binary]>=3.2.4")
_PLACE = Path(__file__).resolve().parents[3] / ".bench-venv"

_SETTINGS = """
    import json, os

    SECRET_KEY = "bench"
    USE_TZ = True
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    SHARED_APPS = ["django_tenants", "django.contrib.contenttypes", "customers"]
    TENANT_APPS = ["shop"]
    INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
    TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Client", "customers.Domain"
    DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
    DATABASES = {"default": {"ENGINE": "django_tenants.postgresql_backend", **json.loads(os.environ["BENCH_DATABASE"])}}
    TENANT_MULTIPROCESSING_MAX_PROCESSES = int(os.environ["BENCH_PROCESSES"])
"""
_CUSTOMERS = """
    from django.db import models
    from django_tenants.models import DomainMixin, TenantMixin

    class Client(TenantMixin):
        name = models.CharField(max_length=100)
        auto_create_schema = False

    class Domain(DomainMixin):
        pass
"""
_FIRST_MIGRATION = """
    from django.db import migrations, models

    class Migration(migrations.Migration):
        initial = True
        dependencies = []
        operations = [
            migrations.CreateModel(
                "Item",
                [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField(null=True))],
            )
        ]
"""
_MIGRATION = """
    from django.db import migrations, models

    class Migration(migrations.Migration):
        dependencies = [("shop", "{before}")]
        operations = [migrations.AddField("item", "column_{number}", models.IntegerField(null=True))]
"""
# Imports are not counted, as they are not for the others.
_RUN = """
    import json, sys, time
    import django
    from django.core.management import call_command

    if __name__ == "__main__":
        django.setup()
        if sys.argv[1] == "prepare":
            call_command("makemigrations", "customers", verbosity=0)
            call_command("migrate_schemas", shared=True, verbosity=0)
        else:
            started = time.perf_counter()
            call_command("migrate_schemas", tenant=True, executor=sys.argv[1], verbosity=0)
            print(json.dumps(time.perf_counter() - started))
"""


class Tenants:
    """A Django project with one app, and its tenants in a database of their own."""

    def __init__(self, folder: Path, url: str, tenants: int) -> None:
        """Write the project; nothing is run yet."""
        self._folder, self._url, self._tenants = folder, url, tenants
        self._migrations = count(2)
        for name, text in (
            ("bench_settings.py", _SETTINGS),
            ("bench_run.py", _RUN),
            ("customers/__init__.py", ""),
            ("customers/models.py", _CUSTOMERS),
            ("customers/migrations/__init__.py", ""),
            ("shop/__init__.py", ""),
            ("shop/models.py", "from django.db import models  # its tables are those of the migrations\n"),
            ("shop/migrations/__init__.py", ""),
        ):
            self._write(name, text)

    def prepare(self) -> None:
        """Make the tenants, each with a schema and a table."""
        self._run("prepare")
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "insert into customers_client (schema_name, name)"
                f" select 't_' || n, 'Tenant ' || n from generate_series(1, {self._tenants}) n".encode()
            )
            for number in range(1, self._tenants + 1):
                connection.execute(f"create schema t_{number}".encode())
        self._write("shop/migrations/m0001.py", _FIRST_MIGRATION)
        self._run(EXECUTORS[0])

    def contender(self, executor: str) -> Callable[[int], float]:
        """Give what adds a column for each tenant: seconds per tenant."""

        def block(_: int) -> float:
            number = next(self._migrations)
            text = _MIGRATION.format(before=f"m{number - 1:04}", number=number)
            self._write(f"shop/migrations/m{number:04}.py", text)
            seconds: float = json.loads(self._run(executor))
            return seconds / self._tenants

        return block

    def columns(self) -> int:
        """Count the columns that were added, over all tenants: the proof that something ran."""
        with psycopg.connect(self._url) as connection:
            row = connection.execute(
                "select count(*) from information_schema.columns where table_name = 'shop_item'"
                " and column_name like 'column_%'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def _run(self, what: str) -> str:
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(self._folder),
            "DJANGO_SETTINGS_MODULE": "bench_settings",
            "BENCH_DATABASE": json.dumps(_django_database(self._url)),
            "BENCH_PROCESSES": str(PROCESSES),
        }
        done = subprocess.run(
            [str(_python()), "-m", "bench_run", what],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PROCESS_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"django-tenants, {what}: {done.stderr}")
        return done.stdout


@contextmanager
def open_tenants(stage: Stage, tenants: int) -> Iterator[Tenants]:
    """Give tenants that are ready; their database is gone afterwards."""
    _make_environment()
    with stage.database("tenants") as database:
        folder = stage.folder / database
        folder.mkdir()
        peer = Tenants(folder, with_parameters(stage.url, dbname=database), tenants)
        try:
            peer.prepare()
            yield peer
        finally:
            shutil.rmtree(folder)


def versions() -> str:
    """Name what is installed: `django-tenants 3.7 on Django 5.2`."""
    code = (
        "from importlib.metadata import version;"
        "print('django-tenants', version('django-tenants'), 'on Django', version('django'))"
    )
    done = subprocess.run([str(_python()), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _python() -> Path:
    return _PLACE / "bin" / "python"


def _make_environment() -> None:
    """Make the virtual environment, once for each set of requirements; with uv where it is there."""
    stamp = _PLACE / "requirements.txt"
    wanted = "\n".join(_REQUIREMENTS)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(_PLACE, ignore_errors=True)
    if shutil.which("uv"):
        commands = [
            ["uv", "venv", "--quiet", "--python", sys.executable, str(_PLACE)],
            [
                "uv",
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(_python()),
                *_REQUIREMENTS,
            ],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(_PLACE)],
            [
                str(_python()),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *_REQUIREMENTS,
            ],
        ]
    for given in commands:
        subprocess.run(given, check=True, timeout=PROCESS_SECONDS)
    stamp.write_text(wanted)


def _django_database(url: str) -> dict[str, str]:
    given = conninfo_to_dict(url)
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {setting: str(given[key]) for key, setting in names.items() if given.get(key)}
