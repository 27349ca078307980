"""`python -m backlit` is `backlit`."""

import sys

from backlit.cli import main

if __name__ == "__main__":
    sys.exit(main())
