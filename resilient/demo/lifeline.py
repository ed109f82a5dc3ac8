"""Any ``resilient`` command, ended with its parent: ``python -m resilient.demo.lifeline COMMAND ...``."""

import sys

from ..cli import main
from .shop import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
