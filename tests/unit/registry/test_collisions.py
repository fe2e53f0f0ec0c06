from __future__ import annotations

from pathlib import Path

from tests.unit.registry.authoring import HEAD, fast, load_files, places, problems_in, slow, workspace


def test_one_timestamp_twice_in_a_version_and_kind(tmp_path: Path):
    """Two commands at one place in the sequence: told once, with both files."""
    (problem,) = problems_in(tmp_path, {"a.py": HEAD + fast("A", 1), "b.py": HEAD + fast("B", 1)})
    assert problem.message == "1.0.0 has 2 fast-instance commands with the timestamp 1: A, B"
    assert places(problem) == ["a.py:4", "b.py:4"]
    assert problem.remedy


def test_one_timestamp_three_times(tmp_path: Path):
    """Three of them are one problem with three places."""
    (problem,) = problems_in(tmp_path, {f"{n}.py".replace("1", "x"): HEAD + slow(f"A{n}", 7) for n in "abc"})
    assert len(problem.places) == 3


def test_versions_are_compared_in_normal_form(tmp_path: Path):
    """1.0.0 and v1.0.0 are one version."""
    (problem,) = problems_in(
        tmp_path, {"a.py": HEAD + fast("A", 1, "1.0.0"), "b.py": HEAD + fast("B", 1, "v1.0.0")}
    )
    assert "2 fast-instance commands" in problem.message


def test_one_class_name_twice_in_a_version(tmp_path: Path):
    """The kinds of a version share their names."""
    (problem,) = problems_in(tmp_path, {"a.py": HEAD + fast("Same", 1), "b.py": HEAD + slow("Same", 2)})
    assert problem.message == "1.0.0 has 2 commands named Same"
    assert places(problem) == ["a.py:4", "b.py:4"]


def test_class_names_that_differ_only_in_case(tmp_path: Path):
    """Names that some file systems and eyes cannot tell apart collide."""
    (problem,) = problems_in(tmp_path, {"a.py": HEAD + fast("AddX", 1) + fast("ADDX", 2)})
    assert problem.message == "1.0.0 has command names that differ only in case: ADDX, AddX"


def test_one_command_line_name_twice(tmp_path: Path):
    """Workspace commands share their command-line names across versions."""
    (problem,) = problems_in(
        tmp_path,
        {
            "a.py": HEAD + workspace("FillSkills", 1, "1.0.0"),
            "b.py": HEAD + workspace("Other", 1, "2.0.0", arguments=', name="fill-skills"'),
        },
    )
    assert "2 workspace commands have the command-line name fill-skills" in problem.message
    assert "1.0.0_FillSkills_1, 2.0.0_Other_1" in problem.message
    assert places(problem) == ["a.py:4", "b.py:4"]


def test_what_does_not_collide(tmp_path: Path):
    """One timestamp in several kinds and versions, one class name in several versions: fine."""
    one = fast("A", 1) + slow("B", 1) + workspace("C", 1)
    two = fast("A2", 1, "1.1.0") + fast("B", 2, "1.1.0") + workspace("C1", 1, "1.1.0")
    files = {"one.py": HEAD + one, "two.py": HEAD + two, "pre.py": HEAD + fast("A2", 1, "1.1.0rc1")}
    assert len(load_files(tmp_path, files).sequence) == 7


def test_a_copied_file(tmp_path: Path):
    """A file that was copied and not changed collides in every way, and all of them are told."""
    text = HEAD + workspace("Fill", 1)
    found = problems_in(tmp_path, {"a.py": text, "b.py": text})
    assert len(found) == 3
    assert all(places(problem) == ["a.py:4", "b.py:4"] for problem in found)
