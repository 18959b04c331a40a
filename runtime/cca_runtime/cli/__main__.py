"""`python -m cca_runtime.cli`, where `cca-run` is not on the path."""

from __future__ import annotations

import sys

from cca_runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
