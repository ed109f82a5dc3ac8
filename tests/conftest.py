"""For all tests: the kit can be imported, and no setting of this machine leaks in."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

for name in list(os.environ):
    if name.startswith(("RESILIENT_", "EUREKA_")):
        del os.environ[name]
