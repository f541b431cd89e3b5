"""The entry point: answers `--version` by itself, because that must not cost more than starting Python."""

from __future__ import annotations

import sys

from reasoning_cli import __version__


def main() -> None:
    """Run the command line of this process."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"reasoning {__version__}\n")
        return
    from reasoning_cli.app import app

    app(prog_name="reasoning")


if __name__ == "__main__":
    main()
