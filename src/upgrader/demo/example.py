"""Where the worked example's upgrade commands lie."""

from __future__ import annotations

from pathlib import Path

from upgrader.errors import OperatorError

_HERE = Path(__file__).resolve()
_IN_WHEEL = _HERE.parent / "commands"
_IN_CLONE = _HERE.parents[3] / "commands"


def demo_commands() -> Path:
    """Give the directory of the worked example: the copy in the wheel, or `commands/` of the clone.

    Raises:
        OperatorError: neither is there.
    """
    for directory in (_IN_WHEEL, _IN_CLONE):
        if (directory / "v1_21_0").is_dir():
            return directory
    raise OperatorError(
        f"the commands of the demo are neither in {_IN_WHEEL} nor in {_IN_CLONE}",
        hint="install the package again: pip install --force-reinstall 'upgrader[embedded]'",
    )
