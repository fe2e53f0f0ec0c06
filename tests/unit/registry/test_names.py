from __future__ import annotations

import pytest

from upgrader.registry.names import cli_name_of, is_cli_name


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("BackfillStandardSkills", "backfill-standard-skills"),
        ("X", "x"),
        ("AddX", "add-x"),
        ("BackfillHTTPLogs", "backfill-http-logs"),
        ("HTTPLogs", "http-logs"),
        ("ParseHTTP", "parse-http"),
        ("AddUUID4Column", "add-uuid4-column"),
        ("Move2Schemas", "move2-schemas"),
        ("snake_case", "snake-case"),
        ("_Private", "private"),
        ("lower", "lower"),
        ("AddAColumn", "add-a-column"),
    ],
)
def test_a_command_line_name_is_derived(class_name: str, name: str):
    """Words of a class name are parted by hyphens; a run of capitals is one word."""
    assert cli_name_of(class_name) == name
    assert is_cli_name(name)


@pytest.mark.parametrize("name", ["a", "a-b", "upgrade:1-22:fill", "1.22-fill", "a_b", "x" * 100])
def test_names_that_can_be_typed(name: str):
    """Small letters, digits, and one of a few signs between them."""
    assert is_cli_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "A", "a b", "é", "a/b", "x" * 101, "a\n"])
def test_names_that_cannot(name: str):
    """What begins like an option, needs quotes, or is hard to type."""
    assert not is_cli_name(name)
