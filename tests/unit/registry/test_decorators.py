from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, places, problems_in
from upgrader.command import CommandKind
from upgrader.errors import LoadingError
from upgrader.registry import instance_command, registry_of, workspace_command


def test_the_class_stays_as_it_was():
    """A decorator hands back the class itself and adds one attribute to it, nothing else."""

    class Plain:
        def up(self, connection): ...

    before = set(vars(Plain))
    assert instance_command("1.0.0", 1)(Plain) is Plain
    assert set(vars(Plain)) - before == {"__upgrader_command__"}


def test_type_by_position_and_by_name():
    """The third argument is the type, by position or by name; fast is the default."""

    @instance_command("1.0.0", 1)
    class A:
        def up(self, connection): ...

    @instance_command("1.0.0", 1, "slow")
    class B:
        def run_data_migration(self, ctx): ...
        def up(self, connection): ...

    @instance_command("1.0.0", 2, type="slow", transactional=False)
    class C:
        def run_data_migration(self, ctx): ...
        def up(self, connection): ...

    steps = list(registry_of([C, B, A]).sequence)
    assert [step.kind for step in steps] == [CommandKind.FAST, CommandKind.SLOW, CommandKind.SLOW]
    assert [step.transactional for step in steps] == [True, True, False]


def test_workspace_flags_and_name():
    """A workspace command carries its name, its mode and whether it waits for the slow steps."""

    @workspace_command("1.0.0", 1, name="do-it", transactional=False, after_slow=True)
    class X:
        def run_on_workspace(self, ctx): ...

    (step,) = registry_of([X]).sequence
    assert (step.cli_name, step.transactional, step.after_slow) == ("do-it", False, True)


def test_a_subclass_is_no_command(tmp_path: Path):
    """What a subclass inherits does not make it a command, in the same module either."""
    (problem,) = problems_in(
        tmp_path / "commands",
        {
            "_base.py": HEAD + '@instance_command("1.0.0", 1)\nclass A:\n    def up(self, c): ...\n',
            "sub.py": "from ._base import A\nclass B(A): ...\n",
        },
    )
    assert "no command" in problem.message
    assert places(problem) == ["sub.py"]


def test_a_subclass_that_is_decorated_itself_is_a_command_of_its_own():
    """A command may build on another; both are there, each with its own declaration."""

    @instance_command("1.0.0", 1)
    class A:
        def up(self, connection): ...

    @instance_command("1.0.0", 2)
    class B(A): ...

    assert [step.class_name for step in registry_of([A, B]).sequence] == ["A", "B"]


@pytest.mark.parametrize(
    ("decorator", "says"),
    [
        ('instance_command("1.22", 1)', "MAJOR.MINOR.PATCH"),
        ('instance_command("banana", 1)', "not a version"),
        ("instance_command(1.22, 1)", "not a text"),
        ("instance_command([], 1)", "not a text"),
        ('instance_command("1.22.0+local", 1)', "local part"),
        ('instance_command("1!1.22.0", 1)', "epoch"),
        ('instance_command("1.22.0.post1", 1)', "post"),
        ('instance_command("1.22.0.dev1", 1)', "dev"),
        ('instance_command("1.2." + "9" * 5000, 1)', "wrong version"),
        ('instance_command("1.0.0", True)', "not an integer: True"),
        ('instance_command("1.0.0", "5")', "not an integer"),
        ('instance_command("1.0.0", 5.0)', "not an integer"),
        ('instance_command("1.0.0", 0)', "positive 64-bit"),
        ('instance_command("1.0.0", -5)', "positive 64-bit"),
        ('instance_command("1.0.0", 2**63)', "positive 64-bit"),
        ('instance_command("1.0.0", 10**5000)', "positive 64-bit"),
        ('instance_command("1.0.0", 1, "medium")', "unknown type 'medium'"),
        ('instance_command("1.0.0", 1, None)', "unknown type None"),
        ('instance_command("1.0.0", 1, ["slow"])', "unknown type"),
        ('instance_command("1.0.0", 1, transactional="no")', "transactional='no'"),
    ],
)
def test_a_wrong_argument_is_told_where_the_decorator_stands(tmp_path: Path, decorator: str, says: str):
    """Each wrong argument is one problem, at the line of the decorator."""
    (problem,) = problems_in(
        tmp_path, {"x.py": f"{HEAD}\n@{decorator}\nclass X:\n    def up(self, c): ...\n"}
    )
    assert says in problem.message
    assert places(problem) == ["x.py:3"]
    assert problem.remedy


@pytest.mark.parametrize(
    "argument", ["name=''", "name='Two Words'", "name='-x'", "name='x' * 101", "name=3", "name='a\\nb'"]
)
def test_a_wrong_command_line_name(tmp_path: Path, argument: str):
    """A name that cannot be typed as it is, is refused."""
    text = f"@workspace_command('1.0.0', 1, {argument})\nclass X:\n    def run_on_workspace(self, c): ...\n"
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + text})
    assert "command-line name" in problem.message


def test_a_class_name_that_gives_no_command_line_name(tmp_path: Path):
    """Where none can be derived from the class, the author is asked for one."""
    text = f"{HEAD}@workspace_command('1.0.0', 1)\nclass Größe:\n    def run_on_workspace(self, c): ...\n"
    (problem,) = problems_in(tmp_path, {"x.py": text})
    assert "gives by its class name" in problem.message
    assert 'name="' in (problem.remedy or "")


def test_a_second_decorator(tmp_path: Path):
    """Two decorators on one class are a problem, of one family or of both."""
    text = """
    @instance_command("1.0.0", 1)
    @instance_command("1.1.0", 2)
    class A:
        def up(self, c): ...

    @workspace_command("1.0.0", 1)
    @instance_command("1.0.0", 3)
    class B:
        def up(self, c): ...
    """
    found = problems_in(tmp_path, {"x.py": HEAD + text.replace("\n    ", "\n")})
    assert [problem.message for problem in found] == [
        "A has more than one command decorator",
        "B has more than one command decorator",
    ]


def test_a_decorated_function(tmp_path: Path):
    """A function is no command, and hides no class beside it."""
    text = '@instance_command("1.0.0", 1)\ndef up(connection): ...\n\n@instance_command("x", 1)\nclass B:\n'
    found = problems_in(tmp_path, {"x.py": HEAD + text + "    def up(self, c): ...\n"})
    assert "function" in found[0].message
    assert places(found[0]) == ["x.py:2"]
    assert "not a version" in found[1].message


def test_a_decorated_something():
    """What can carry no metadata at all is refused at once, with its place."""
    with pytest.raises(LoadingError) as caught:
        instance_command("1.0.0", 1)(3)  # type: ignore[type-var]  # what is to be refused
    assert "stands on a int" in caught.value.problems[0].message
    assert "test_decorators.py:" in caught.value.problems[0].places[0]


def test_everything_wrong_with_a_class_is_told_at_once(tmp_path: Path):
    """Several mistakes in one class, and in another of the same module, are all there."""
    text = """
@instance_command("1.0", 0, "quick")
class A:
    def __init__(self, size): ...
@workspace_command("2", 1)
class B: ...
"""
    found = problems_in(tmp_path, {"x.py": HEAD + text})
    assert len([problem for problem in found if problem.message.startswith("A")]) == 5
    assert len([problem for problem in found if problem.message.startswith("B")]) == 2


def test_dataclasses_go_with_either_order_of_decorators():
    """`@dataclass(slots=True)` makes a new class; the command survives above and below it."""
    from dataclasses import dataclass

    @dataclass(slots=True)
    @instance_command("1.0.0", 1)
    class A:
        """Do a."""

        size: int = 3

        def up(self, connection): ...

    @instance_command("1.0.0", 2)
    @dataclass
    class B:
        size: int = 3

        def up(self, connection): ...

    registry = registry_of([A, B])
    assert [step.summary for step in registry.sequence] == ["Do a.", ""]
    assert registry.create("1.0.0_A_1").size == 3  # type: ignore[attr-defined]  # an attribute of this class alone


def test_an_undecorated_class_is_refused():
    """`registry_of` takes commands only."""
    with pytest.raises(LoadingError):
        registry_of([int])
