"""Is this interpreter one that the project runs on? Exit code 1 and a sentence when it is not."""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main() -> int:
    """Compare with the bounds in pyproject.toml; a regular expression, since tomllib is as young as our lower bound."""
    bounds = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    oldest, too_new = (int(minor) for minor in bounds.groups())
    if (3, oldest) <= sys.version_info[:2] < (3, too_new):
        return 0
    needed, found = f"Python 3.{oldest}-3.{too_new - 1}", f"{sys.executable} {sys.version.split()[0]}"
    command = f"make demo PYTHON=python3.{oldest}"
    sys.stderr.write(f"{needed} is needed, found {found}; name another one: {command}\n")
    sys.stderr.write(f"需要 {needed},当前为 {found};可另行指定:{command}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
