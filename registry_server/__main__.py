"""``python -m registry_server``: the registry without the rest of the command line."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
