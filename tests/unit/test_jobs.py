"""How many workspaces are worked on at a time, as it is typed."""

import pytest

from upgrader.model import Jobs


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), (" 8 ", 8), ("1000", 1000), ("auto", None), ("AUTO", None)]
)
def test_what_may_be_typed(text: str, count: int | None) -> None:
    """A number from 1, or `auto`; it is told as it is typed."""
    jobs = Jobs.parse(text)
    assert jobs.count == count
    assert jobs.is_auto is (count is None)
    assert Jobs.parse(jobs.text) == jobs


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "٣", "1001", "9" * 40])
def test_what_may_not(text: str) -> None:
    """Everything else says what it is."""
    with pytest.raises(ValueError, match="workspaces"):
        Jobs.parse(text)
