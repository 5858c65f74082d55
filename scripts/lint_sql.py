"""sqlfluff over the SQL of the dbt project that changed since it was clean; over all of it with `--all`, or in CI.

What sqlfluff says of a file depends on its text, the configuration, the macros and sqlfluff's version. The hash of all
these is kept once the file is clean, so nothing that could be told differently is left out. What is kept can be removed
at any time.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LINTED = ("models", "tests")
SHARED = ("**/.sqlfluff", "**/.sqlfluffignore", "macros/**/*.sql")
KEPT = Path(".sqlfluff_cache", "clean")


def main(repository: Path = REPOSITORY, *, everything: bool) -> int:
    """Lint what may have something wrong, keep what has nothing; sqlfluff's exit code."""
    hashes = file_hashes(repository)
    known = set() if everything else kept(repository)
    files = sorted(file for file, digest in hashes.items() if digest not in known)
    sys.stdout.write(f"sqlfluff: {len(files)} of {len(hashes)} files / 检查 {len(files)} 个文件,共 {len(hashes)} 个\n")
    sys.stdout.flush()
    code = sqlfluff(repository, files) if files else 0
    if code == 0:
        keep(repository, hashes.values())
    return code


def file_hashes(repository: Path) -> dict[Path, str]:
    """Every linted file with the hash of all that decides what is said of it."""
    project = repository / "dbt_project"
    shared = hashlib.sha256(version("sqlfluff").encode())
    for file in (
        repository / "pyproject.toml",
        *(file for pattern in SHARED for file in sorted(project.glob(pattern))),
    ):
        shared.update(_told(file, repository))
    hashes = {}
    for file in _linted(project):
        digest = shared.copy()
        digest.update(_told(file, repository))
        hashes[file] = digest.hexdigest()
    return hashes


def kept(repository: Path) -> set[str]:
    """The hashes of what was clean when it was linted last."""
    try:
        return set((repository / KEPT).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()


def keep(repository: Path, hashes: Iterable[str]) -> None:
    """Replace what is kept, in one move."""
    (repository / KEPT).parent.mkdir(exist_ok=True)
    hidden = (repository / KEPT).with_suffix(f".{os.getpid()}")
    hidden.write_text("\n".join(sorted(hashes)), encoding="ascii")
    hidden.replace(repository / KEPT)


def sqlfluff(repository: Path, files: Iterable[Path]) -> int:
    """Its exit code for these files."""
    command = [sys.executable, "-m", "sqlfluff", "lint", "--processes", "2", "--disable-progress-bar"]
    # Relative to the repository, as its messages name them.
    names = [str(file.relative_to(repository)) for file in files]
    return subprocess.run([*command, *names], cwd=repository, check=False).returncode  # noqa: S603 -- our own files


def _linted(project: Path) -> Iterator[Path]:
    for folder in LINTED:
        yield from sorted((project / folder).rglob("*.sql"))


def _told(file: Path, repository: Path) -> bytes:
    return f"\0{file.relative_to(repository)}\0".encode() + file.read_bytes()


if __name__ == "__main__":
    sys.exit(main(everything="--all" in sys.argv[1:] or bool(os.environ.get("CI"))))
