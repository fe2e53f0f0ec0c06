"""How many failures a segment may have."""

import pytest

from upgrader.model import FailureLimit


@pytest.mark.parametrize(
    ("text", "total", "most"),
    [
        ("1", 10, 0),
        ("3", 10, 2),
        ("20", 10, None),
        ("0%", 10, 0),
        ("5%", 10, 0),
        ("10%", 10, 1),
        ("29%", 100, 29),
        ("0.1%", 1000, 1),
        ("33.4%", 3, 1),
        ("100%", 10, None),
    ],
)
def test_where_it_is_reached(text: str, total: int, most: int | None) -> None:
    """`most` failures are still borne, one more is too many; None: all may fail."""
    limit = FailureLimit.parse(text)
    reached = [failed for failed in range(1, total + 1) if limit.is_reached(failed=failed, total=total)]
    assert reached == ([] if most is None else list(range(most + 1, total + 1)))
    assert not limit.is_reached(failed=0, total=total)


def test_without_a_limit_it_is_never_reached() -> None:
    assert not FailureLimit().is_reached(failed=10**6, total=10**6)


@pytest.mark.parametrize("text", ["0", "", "-1", "1.5", "101%", "%", "five", "5 x", "nan%", "1e3", "٣"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        FailureLimit.parse(text)


@pytest.mark.parametrize(("text", "shown"), [(" 7 ", "7"), ("2.50%", "2.5%"), ("5 %", "5%"), ("007", "7")])
def test_it_is_shown_as_it_is_typed(text: str, shown: str) -> None:
    assert FailureLimit.parse(text).text == shown
