"""`python -m cca_runtime`: where the C library is that comes with the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_ROOT = Path(__file__).parent


def main() -> int:
    """Print the directory asked for; 1 if this installation is without the C library."""
    parser = argparse.ArgumentParser(
        prog="python -m cca_runtime",
        description="Say where libcca is, the C library that comes with this package.",
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    for option, directory, text in (
        ("--cmake-dir", "lib/cmake/cca", "for find_package: -Dcca_DIR=..."),
        ("--pkgconfig-dir", "lib/pkgconfig", "for PKG_CONFIG_PATH"),
        ("--include-dir", "include", "the directory of cca/cca.h"),
        ("--library-dir", "lib", "the directory of libcca"),
    ):
        choice.add_argument(
            option, dest="directory", action="store_const", const=_ROOT / directory, help=text
        )
    directory = parser.parse_args().directory
    if not directory.is_dir():
        print(  # noqa: T201
            f"error: {directory} does not exist: this is no installation of cca-codec but its "
            "sources; install them with pip",
            file=sys.stderr,
        )
        return 1
    print(directory)  # noqa: T201 - this is the tool's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
