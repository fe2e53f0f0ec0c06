"""The program's entry: `upgrader`, or `python -m upgrader`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the program and give its exit code.

    While it is being loaded Ctrl-C ends it as it ends most programs: at once, and without a traceback.
    """
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_pythons:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from upgrader.cli.app import main as run

    if is_pythons:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
