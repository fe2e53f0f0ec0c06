"""`python -m upgrader` is the same as `upgrader`."""

import sys

from upgrader.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
