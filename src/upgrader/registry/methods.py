"""The methods of a command class: which it needs, which it may have, which would never be called."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from upgrader.command import CommandKind


@dataclass(frozen=True, slots=True)
class MethodRule:
    """One method that a kind of command is asked for."""

    name: str
    parameter: str
    required: bool = True

    @property
    def signature(self) -> str:
        """How an author writes it."""
        return f"def {self.name}(self, {self.parameter})"


@dataclass(frozen=True, slots=True)
class MethodFault:
    """What is wrong with one method."""

    method: str
    message: str
    remedy: str


UP = MethodRule("up", "connection")
DOWN = MethodRule("down", "connection", required=False)
RUN_ON_WORKSPACE = MethodRule("run_on_workspace", "ctx")
DOWN_ON_WORKSPACE = MethodRule("down_on_workspace", "ctx", required=False)
RUN_DATA_MIGRATION = MethodRule("run_data_migration", "ctx")
MAY_RUN_DATA_MIGRATION = MethodRule("run_data_migration", "ctx", required=False)

_RULES = {
    CommandKind.FAST: (UP, DOWN),
    CommandKind.SLOW: (RUN_DATA_MIGRATION, UP, DOWN),
    CommandKind.WORKSPACE: (MAY_RUN_DATA_MIGRATION, RUN_ON_WORKSPACE, DOWN_ON_WORKSPACE),
}
_ALL_NAMES = ("up", "down", "run_data_migration", "run_on_workspace", "down_on_workspace")
_KIND_NAMES = {
    CommandKind.FAST: "a fast instance command",
    CommandKind.SLOW: "a slow instance command",
    CommandKind.WORKSPACE: "a workspace command",
}
_NEVER_CALLED = {
    (CommandKind.FAST, "run_data_migration"): 'make it type="slow", or rename the method',
    (CommandKind.WORKSPACE, "down"): "name it down_on_workspace, or give it another name",
    (CommandKind.WORKSPACE, "up"): "name it run_on_workspace, or make the class an instance command",
}


def has_method(cls: type[Any], name: str) -> bool:
    """Tell whether a class has a method; what it inherits from a protocol class is only a stub."""
    owner = next((base for base in cls.__mro__ if name in vars(base)), None)
    return owner is not None and not getattr(owner, "_is_protocol", False)


def method_faults(cls: type[Any], kind: CommandKind) -> Iterator[MethodFault]:
    """Tell what is wrong with the methods of a class that is to be a command of this kind."""
    for rule in _RULES[kind]:
        if has_method(cls, rule.name):
            yield from _shape_faults(cls, rule)
        elif rule.required:
            yield MethodFault(
                rule.name, f"{_KIND_NAMES[kind]} needs the method {rule.name}", f"add `{rule.signature}`"
            )
    yield from _never_called(cls, kind)


def _shape_faults(cls: type[Any], rule: MethodRule) -> Iterator[MethodFault]:
    method = getattr(cls, rule.name)
    if not callable(method):
        message = f"{rule.name} is {type(method).__name__}, not a method"
        remedy = f"write `{rule.signature}`" + ("" if rule.required else ", or leave it out")
        yield MethodFault(rule.name, message, remedy)
    elif _is_deferred(method):
        message = f"{rule.name} is async or a generator: called, it would do nothing"
        yield MethodFault(rule.name, message, f"make it a plain function: `{rule.signature}`")
    elif not _takes_one(cls, rule.name, method):
        message = f"{rule.name} cannot be called with one argument ({rule.parameter})"
        yield MethodFault(rule.name, message, f"write `{rule.signature}`")


def _is_deferred(method: object) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return any(is_kind(method) for is_kind in kinds)


def _takes_one(cls: type[Any], name: str, method: Any) -> bool:
    """Tell whether `instance.method(argument)` would bind."""
    static = inspect.getattr_static(cls, name)
    is_bound = isinstance(static, (classmethod, staticmethod)) or not hasattr(type(static), "__get__")
    try:
        inspect.signature(method).bind(*([None] if is_bound else [None, None]))
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature: nothing can be told
        return True
    return True


def _never_called(cls: type[Any], kind: CommandKind) -> Iterator[MethodFault]:
    called = {rule.name for rule in _RULES[kind]}
    for name in _ALL_NAMES:
        if name not in called and has_method(cls, name):
            remedy = _NEVER_CALLED.get((kind, name), "give the method another name, or take it away")
            yield MethodFault(name, f"{name} is never called on {_KIND_NAMES[kind]}", remedy)
