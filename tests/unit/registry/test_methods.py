from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, fast, load_files, places, problems_in, workspace
from upgrader.command import FastInstanceCommand

FAST = '@instance_command("1.0.0", 1)\nclass X:\n'
SLOW = '@instance_command("1.0.0", 1, "slow")\nclass X:\n'
WORKSPACE = '@workspace_command("1.0.0", 1)\nclass X:\n'
UP = "    def up(self, connection): ...\n"
MIGRATE = "    def run_data_migration(self, ctx): ...\n"
RUN = "    def run_on_workspace(self, ctx): ...\n"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (FAST + "    pass\n", "up"),
        (SLOW + UP, "run_data_migration"),
        (SLOW + MIGRATE, "up"),
        (WORKSPACE + "    pass\n", "run_on_workspace"),
    ],
)
def test_a_missing_method(tmp_path: Path, text: str, missing: str):
    """Each kind needs its methods; the problem names the one that is not there and how it is written."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + text})
    assert f"needs the method {missing}" in problem.message
    assert f"def {missing}(self" in (problem.remedy or "")
    assert places(problem) == ["x.py:3"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FAST + "    up = 3\n", "up is int"),
        (FAST + UP + "    down = None\n", "down is NoneType"),
        (SLOW + UP + "    run_data_migration = ()\n", "run_data_migration is tuple"),
        (WORKSPACE + RUN + "    down_on_workspace = 'x'\n", "down_on_workspace is str"),
        (WORKSPACE + RUN + "    run_data_migration = 1\n", "run_data_migration is int"),
    ],
)
def test_a_method_that_cannot_be_called(tmp_path: Path, text: str, says: str):
    """Optional methods, too, must be methods where they are there."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + text})
    assert says in problem.message


@pytest.mark.parametrize(
    "method",
    [
        "async def up(self, connection): ...",
        "def up(self, connection): yield",
        "async def up(self, connection): yield",
    ],
)
def test_a_method_that_would_do_nothing(tmp_path: Path, method: str):
    """Calling a coroutine function or a generator runs nothing: refused, at the line of the method."""
    (problem,) = problems_in(tmp_path, {"x.py": f"{HEAD}{FAST}    {method}\n"})
    assert "would do nothing" in problem.message
    assert places(problem) == ["x.py:4"]


@pytest.mark.parametrize(
    "method",
    [
        "def up(self): ...",
        "def up(): ...",
        "def up(self, a, b): ...",
        "def up(self, connection, *, strict): ...",
        "@staticmethod\n    def up(a, b): ...",
    ],
)
def test_a_wrong_number_of_parameters(tmp_path: Path, method: str):
    """A method that cannot take its one argument is refused before it is called."""
    (problem,) = problems_in(tmp_path, {"x.py": f"{HEAD}{FAST}    {method}\n"})
    assert "one argument (connection)" in problem.message


@pytest.mark.parametrize(
    "method",
    [
        "def up(self, connection, extra=1, *rest, key=2, **others): ...",
        "def up(self, *arguments): ...",
        "def up(self, c, /): ...",
        "@staticmethod\n    def up(connection): ...",
        "@classmethod\n    def up(cls, connection): ...",
        "up = lambda self, c: None",
        "up = print",
        "from functools import partialmethod\n    def _up(self, a, c): ...\n    up = partialmethod(_up, 1)",
    ],
)
def test_shapes_that_are_fine(tmp_path: Path, method: str):
    """Whatever can be called with one argument is a method."""
    assert len(load_files(tmp_path, {"x.py": f"{HEAD}{FAST}    {method}\n"}).sequence) == 1


@pytest.mark.parametrize(
    ("text", "never"),
    [
        (FAST + UP + MIGRATE, "run_data_migration"),
        (FAST + UP + RUN, "run_on_workspace"),
        (WORKSPACE + RUN + "    def down(self, c): ...\n", "down"),
        (WORKSPACE + RUN + UP, "up"),
        (SLOW + UP + MIGRATE + "    def down_on_workspace(self, c): ...\n", "down_on_workspace"),
    ],
)
def test_a_method_that_would_never_be_called(tmp_path: Path, text: str, never: str):
    """A method of another kind of command is not passed over in silence."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + text})
    assert problem.message.startswith(f"X: {never} is never called")


def test_a_protocol_gives_no_method(tmp_path: Path):
    """A class that derives from a protocol and forgets `up` has inherited only a stub."""
    assert "up" in vars(FastInstanceCommand)
    text = FAST.replace("class X:", "class X(FastInstanceCommand):") + "    pass\n"
    (problem,) = problems_in(
        tmp_path, {"x.py": HEAD + "from upgrader.command import FastInstanceCommand\n" + text}
    )
    assert "needs the method up" in problem.message


@pytest.mark.parametrize(
    "body",
    [
        "    def __init__(self, size): ...\n",
        "    def __init__(self, *, size): ...\n",
        "    def __new__(cls, size): ...\n",
    ],
)
def test_a_class_that_cannot_be_made(tmp_path: Path, body: str):
    """Each attempt makes the class without arguments; what would fail then is told now."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + FAST + UP + body})
    assert problem.message == "X cannot be made without arguments"


def test_an_abstract_class(tmp_path: Path):
    """An abstract class cannot be made either; the problem names what is left to write."""
    text = """
from abc import ABC, abstractmethod
@instance_command("1.0.0", 1)
class X(ABC):
    def up(self, connection): ...
    @abstractmethod
    def helper(self): ...
"""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + text})
    assert problem.message == "X is abstract (helper)"


def test_what_a_step_knows_of_its_methods(tmp_path: Path):
    """A way down makes a step reversible; a data migration is noted for slow and workspace commands."""
    text = """
@instance_command("1.0.0", 1)
class A:
    def up(self, c): ...
@instance_command("1.0.0", 2)
class B:
    def up(self, c): ...
    def down(self, c): ...
@instance_command("1.0.0", 1, "slow")
class C:
    def run_data_migration(self, ctx): ...
    def up(self, c): ...
@workspace_command("1.0.0", 1)
class D:
    def run_on_workspace(self, ctx): ...
@workspace_command("1.0.0", 2)
class E:
    def run_data_migration(self, ctx): ...
    def run_on_workspace(self, ctx): ...
    def down_on_workspace(self, ctx): ...
"""
    steps = load_files(tmp_path, {"x.py": HEAD + text}).sequence
    assert {step.class_name: (step.reversible, step.has_data_migration) for step in steps} == {
        "A": (False, False),
        "B": (True, False),
        "C": (False, True),
        "D": (False, False),
        "E": (True, True),
    }


def test_inherited_methods_count(tmp_path: Path):
    """A helper class may bring the methods; only the decorator is not inherited."""
    registry = load_files(
        tmp_path,
        {
            "_base.py": "class Base:\n    def up(self, c): ...\n    def down(self, c): ...\n",
            "x.py": HEAD + "from ._base import Base\n" + FAST.replace("X:", "X(Base):") + "    pass\n",
        },
    )
    (step,) = registry.sequence
    assert step.reversible


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise IrreversibleError('the prices are gone')", "the prices are gone"),
        ("raise upgrader.IrreversibleError('of ' 'two parts', hint='x')", "of two parts"),
        ("raise IrreversibleError('''over\n          lines''')", "over lines"),
        ("raise IrreversibleError", ""),
        ("raise IrreversibleError(f'{self} is gone') from None", ""),
        ("raise NotImplementedError", ""),
        ("raise NotImplementedError('not yet')", "not yet"),
        ("raise NotImplementedError\n        connection.execute('x')", ""),
    ],
)
@pytest.mark.parametrize("docstring", ["", "'''Say it.'''\n        "])
def test_a_way_down_that_only_says_that_there_is_none(
    tmp_path: Path, body: str, reason: str, docstring: str
) -> None:
    """It need not be runnable: nothing of it runs."""
    down = f"    def down(self, connection):\n        {docstring}{body}\n"
    (step,) = load_files(tmp_path, {"a.py": HEAD + fast("A", 1, body=down)}).sequence
    assert (step.reversible, step.irreversible_reason) == (False, reason)


@pytest.mark.parametrize(
    "body",
    [
        "raise RuntimeError('for good')",
        "if connection: raise IrreversibleError('after a look')",
        "connection.execute('x')\n        raise IrreversibleError('half')",
        "raise",
        "'''Nothing to do.'''",
    ],
)
def test_a_way_down_that_may_fail_is_one(tmp_path: Path, body: str) -> None:
    """What it does first counts."""
    down = f"    def down(self, connection):\n        {body}\n"
    (step,) = load_files(tmp_path, {"a.py": HEAD + fast("A", 1, body=down)}).sequence
    assert (step.reversible, step.irreversible_reason) == (True, "")


def test_a_way_down_of_a_base_class_and_the_last_of_two(tmp_path: Path) -> None:
    """What Python would call is what is read."""
    base = "class Base:\n    def down(self, connection):\n        raise NotImplementedError('by the base')\n"
    raising = "    def down(self, connection):\n        raise NotImplementedError\n"
    good = "    def down(self, connection): ...\n"
    text = (
        HEAD + base + fast("A", 1).replace("class A:", "class A(Base):") + fast("B", 2, body=raising + good)
    )
    text += fast("C", 3).replace("class C:", "class C(Base):") + good
    steps = load_files(tmp_path, {"a.py": text}).sequence
    found = {step.class_name: (step.reversible, step.irreversible_reason) for step in steps}
    assert found == {"A": (False, "by the base"), "B": (True, ""), "C": (True, "")}


def test_the_way_down_of_a_workspace_command(tmp_path: Path) -> None:
    """It has a name of its own."""
    down = "    def down_on_workspace(self, ctx):\n        raise NotImplementedError('merged')\n"
    (step,) = load_files(tmp_path, {"a.py": HEAD + workspace("A", 1) + down}).sequence
    assert (step.reversible, step.irreversible_reason) == (False, "merged")
