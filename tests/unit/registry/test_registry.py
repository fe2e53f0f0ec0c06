from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, fast, load_files, slow, workspace
from upgrader.errors import LoadingError, OperatorError, Problem
from upgrader.registry import Registry, merge
from upgrader.version import ApplicationVersion, ReleaseVersion


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    text = fast("B", 2) + fast("A", 1) + slow("C", 1) + workspace("FillSkills", 1) + fast("Later", 1, "2.0.0")
    return load_files(tmp_path, {"x.py": HEAD + text})


def test_bundles_by_version_and_kind(registry: Registry):
    """A bundle holds the commands of a version, by kind and timestamp."""
    first, second = registry.bundles
    assert str(first.version) == "1.0.0"
    assert [command.step.class_name for command in first.fast] == ["A", "B"]
    assert [command.step.class_name for command in first.slow] == ["C"]
    assert [command.step.class_name for command in first.workspace] == ["FillSkills"]
    assert [command.step.class_name for command in second.commands] == ["Later"]
    assert first.fast[0].command_class.__name__ == "A"


def test_the_sequence_has_dormant_steps_too(registry: Registry):
    """What lies above the application's version is loaded, and left out only by whoever asks for that."""
    assert len(registry.sequence) == 5
    assert len(registry.sequence.covered_by(ApplicationVersion.parse("1.0.0"))) == 4
    assert registry.highest_version == ReleaseVersion.parse("2.0.0")


def test_versions_are_ordered_as_numbers(tmp_path: Path):
    """1.10.0 comes after 1.9.0, a pre-release before its release."""
    versions = ["1.10.0", "1.9.0", "1.10.0rc1"]
    text = "".join(fast(f"X{n}", 1, version) for n, version in enumerate(versions))
    registry = load_files(tmp_path, {"x.py": HEAD + text})
    assert [str(bundle.version) for bundle in registry.bundles] == ["1.9.0", "1.10.0rc1", "1.10.0"]


def test_each_attempt_gets_a_fresh_instance(registry: Registry):
    """`create` makes a new object each time."""
    one, two = registry.create("1.0.0_A_1"), registry.create("1.0.0_A_1")
    assert one is not two
    assert type(one) is registry.command_class("1.0.0_A_1")


def test_a_name_that_is_not_there(registry: Registry):
    """Asking for a step that does not exist is a mistake of the caller."""
    with pytest.raises(KeyError):
        registry.create("1.0.0_Nothing_1")
    with pytest.raises(KeyError):
        registry.command_class("nothing")


def test_a_workspace_command_by_its_command_line_name(registry: Registry):
    """Only workspace commands have one."""
    assert registry.by_cli_name("fill-skills").class_name == "FillSkills"
    with pytest.raises(OperatorError) as caught:
        registry.by_cli_name("fill-skill")
    assert caught.value.hint == "did you mean fill-skills?"
    with pytest.raises(OperatorError) as caught:
        registry.by_cli_name("zzz")
    assert "upgrader list" in (caught.value.hint or "")


def test_it_cannot_be_changed(registry: Registry):
    """A registry is a value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.bundles = ()  # type: ignore[misc]  # what is to fail


def test_merging_is_pure(registry: Registry):
    """The order in which commands come does not matter."""
    commands = [command for bundle in registry.bundles for command in bundle.commands]
    assert merge(reversed(commands)).bundles == registry.bundles


def test_problems_and_collisions_are_told_together(registry: Registry):
    """What was wrong before merging comes first, then every collision."""
    commands = [*registry.bundles[0].fast, *registry.bundles[0].fast]
    with pytest.raises(LoadingError) as caught:
        merge(commands, [Problem("something", ("x.py",))])
    assert [problem.message.split(":")[0] for problem in caught.value.problems] == [
        "something",
        "1.0.0 has 2 fast-instance commands with the timestamp 1",
        "1.0.0 has 2 fast-instance commands with the timestamp 2",
        "1.0.0 has 2 commands named A",
        "1.0.0 has 2 commands named B",
    ]


def test_an_empty_registry():
    """Nothing merged is a registry of nothing."""
    empty = merge([])
    assert empty == Registry()
    assert empty.is_empty
    with pytest.raises(OperatorError):
        empty.by_cli_name("x")
