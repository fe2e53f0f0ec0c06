"""Everything that the documents show is run: nothing in them may be wrong or out of date."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer
from psycopg.conninfo import conninfo_to_dict

from tests.support.documents import Block, Workbench, blocks_of, missing_line, shell_environment
from tests.support.project import Project
from tests.support.results import document
from tests.support.server import PREFIX, PostgresServer
from upgrader.cli.app import app
from upgrader.database.embedded import embedded_server
from upgrader.settings import Settings, load_settings
from upgrader.settings.keys import known_keys

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "UPGRADE_COMMANDS.md"
README = ROOT / "README.md"

TUTORIAL = "Tutorial"
README_SECTIONS = ("What it looks like", "Go on in the clone")
ADOPTION = "Adopt it in a SQLAlchemy product"
NOT_RUN = {
    "it installs the program, which the tests have done",
    "diagram",
    "it would run these tests",
}
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}

_GUIDE_BLOCKS = blocks_of(GUIDE)
_README_BLOCKS = blocks_of(README)


def _sections() -> list[tuple[str, list[Block]]]:
    """Give what is run together: the tutorial as a whole, of the other parts each section.

    What stands between the heading of a part and its first section comes before each of its sections.
    """
    found: list[tuple[str, list[Block]]] = []
    for part, of_part in groupby(_GUIDE_BLOCKS, key=lambda block: block.part):
        blocks = list(of_part)
        if part == TUTORIAL:
            found.append((part, blocks))
            continue
        first = [block for block in blocks if not block.section]
        for section, of_section in groupby(blocks, key=lambda block: block.section):
            if section:
                found.append((f"{part}: {section}", [*first, *of_section]))
    return found


def _readme_section(part: str) -> list[Block]:
    found = [block for block in _README_BLOCKS if block.part == part]
    assert found, f"there is no section {part!r}"
    return found


_SECTIONS = _sections()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the OS user of the embedded server can be let into; pytest's own is closed."""
    made = Path(tempfile.mkdtemp(prefix="upgrader-docs-"))
    (made / "home").mkdir()
    (made / "shop").mkdir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("blocks", [blocks for _, blocks in _SECTIONS], ids=[name for name, _ in _SECTIONS])
def test_the_guide_does_what_it_says(blocks: list[Block], directory: Path, server: PostgresServer) -> None:
    """Each section has a directory and a database of its own."""
    # Roles outlive the databases, and sections use the same names.
    own = f"{PREFIX}_{server.run}_{server.worker}_{directory.name.rpartition('-')[2]}"
    names = {word: f"{own}_{word}".lower() for word in ("shop_release", "shop_app")}
    with _kept_running(directory / "shop", blocks), server.database() as url:
        given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        variables = {_VARIABLES[key]: value for key, value in given.items() if key in _VARIABLES}
        environment = shell_environment(directory / "home", **variables)
        Workbench(directory / "shop", environment, url, names).run(blocks)


@contextmanager
def _kept_running(directory: Path, blocks: list[Block]) -> Iterator[None]:
    """Be one more user of the embedded server, which would start and stop with each command otherwise."""
    if not any(block.part == TUTORIAL for block in blocks):
        yield
        return
    with embedded_server(directory / ".upgrader" / "pgdata"):
        yield


@pytest.mark.parametrize("section", README_SECTIONS)
def test_the_readme_does_what_it_says(section: str, directory: Path) -> None:
    """In a copy of what the commands of the README need of a clone, on a terminal of 100 columns."""
    clone = directory / "shop"
    shutil.copy(ROOT / "pyproject.toml", clone)
    shutil.copytree(ROOT / "commands", clone / "commands", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = _readme_section(section)
    with embedded_server(clone / ".upgrader" / "pgdata"):
        Workbench(clone, shell_environment(directory / "home", COLUMNS="100")).run(blocks)


def test_the_readme_adopts_a_product(directory: Path, server: PostgresServer) -> None:
    """The product is that of the guide's recipes."""
    tables = next(block for block in _GUIDE_BLOCKS if block.language == "sql")
    with server.database() as url:
        environment = shell_environment(directory / "home", UPGRADER_DATABASE_URL=url)
        (directory / "shop" / "commands").mkdir()
        Workbench(directory / "shop", environment, url).run([tables, *_readme_section(ADOPTION)])


@pytest.mark.parametrize("document", [GUIDE, README], ids=lambda path: path.name)
def test_every_block_is_run(document: Path) -> None:
    """There is no fenced block that nobody runs, except those that say why."""
    blocks = blocks_of(document)
    assert document.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks)
    assert blocks
    assert {block.not_run for block in blocks} - {None} <= NOT_RUN
    if document == GUIDE:
        ran = {block.line for _, of_section in _SECTIONS for block in of_section}
    else:
        ran = {block.line for part in (*README_SECTIONS, ADOPTION) for block in _readme_section(part)}
    assert [block.line for block in blocks if block.not_run is None and block.line not in ran] == []


@pytest.mark.parametrize("document", [GUIDE, README], ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """To a heading of its page or of another, or to a file of the repository; the web's are not looked at."""
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        page = document.parent / name if name else document
        assert page.exists(), target
        assert not anchor or anchor in _anchors(page), target


def test_the_list_of_recipes_is_whole() -> None:
    """At the top of the guide stands a link to each section of its how-to part."""
    text = GUIDE.read_text(encoding="utf-8")
    top = text.partition("\n## Tutorial")[0]
    recipes = re.findall(
        r"^### (.+)$", text.partition("\n## How-to")[2].partition("\n## Reference")[0], re.MULTILINE
    )
    assert recipes
    assert [one for one in recipes if f"(#{_anchor(one)})" not in top] == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#{1,6} (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_a_line_that_is_not_printed_is_found() -> None:
    """The comparison is loose, but not blind."""
    output = "one 1 ms\n\ntwo   words\nthree\n"
    assert missing_line(output, ["one …", "two words"]) is None
    assert missing_line(output, ["…", "three"]) is None
    assert missing_line(output, ["three", "two words"]) == "two words"
    assert missing_line(output, ["two"]) == "two"


def _reference() -> str:
    return GUIDE.read_text(encoding="utf-8").partition("\n## Reference")[2].partition("\n## Explanation")[0]


def _verbs(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, verb in command.commands.items():
        full = f"{path}{name}"
        if hasattr(verb, "commands"):
            yield from _verbs(verb, f"{full} ")
        else:
            yield full, verb


def test_the_reference_names_every_flag() -> None:
    """Each verb has a section of the reference that names each of its flags."""
    reference = _reference()
    program: Any = typer.main.get_command(app)
    for name, verb in _verbs(program):
        _, found, rest = reference.partition(f"\n#### `upgrader {name}")
        assert found, f"there is no heading for {name}"
        section = rest.partition("\n#### ")[0].partition("\n### ")[0]
        for parameter in verb.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-") and option not in ("-h", "--help"):
                    assert f"`{option}" in section, f"{name}: {option}"
    for parameter in program.params:
        for option in parameter.opts:
            assert f"`{option}" in reference, option


def test_the_reference_shows_every_setting_with_its_default() -> None:
    """The block of all settings, loaded, is the defaults; what is commented out has none."""
    (block,) = [one for one in _GUIDE_BLOCKS if one.language == "toml" and one.part == "Reference"]
    reference = _reference()
    for key in known_keys().values():
        assert f"{key.name.rpartition('.')[2]} = " in block.text, key.name
        assert key.variable in reference, key.variable
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "upgrader.toml").write_text(block.text, encoding="utf-8")
        loaded = load_settings(directory=Path(folder), environment={}).settings
    assert loaded.model_copy(update={"commands": Settings().commands}) == Settings()
    assert [Path(one).name for one in loaded.commands] == ["commands"]


def test_the_reference_names_every_field_of_the_json(project: Project) -> None:
    """What the verbs print, key by key; a workspace fails and a step is deferred, so that there is much to tell."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme")
    project.fast("1.0.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.slow("1.0.0", 2, "FillNote")
    project.workspace("1.0.0", 3, "Fail", "SELECT 1 / 0")
    section = _reference().partition("\n### JSON")[2].partition("\n### ")[0]
    columns = _reference().partition("\n### History")[2].partition("\n### ")[0]
    for verb in (
        "list",
        "check",
        "plan",
        "sql",
        "preflight",
        "upgrade",
        "plan --down --to 0.1.0",
        "downgrade --to 0.1.0 --dry-run",
        "status",
        "why acme",
        "history",
        "workspace list",
    ):
        found = document(project.run_cli(*verb.split(), "--json"))
        text = section + columns if verb == "history" else section
        assert [key for key in _keys(found) if f"`{key}`" not in text] == [], verb
    assert document(project.run_cli("plan", "--to", "x", "--json"))["error"].keys() == {"message", "hint"}


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key != "summary" or isinstance(inner, str):  # its keys are the healths
                yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
