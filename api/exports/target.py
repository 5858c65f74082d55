"""Where an export is written to: a stream of the caller's, or a file that is either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from segment_engine.runtime.durable import sync


@contextmanager
def open_target(file: BinaryIO | Path) -> Iterator[BinaryIO]:
    """A stream to write to. A path gets its file when the block ends well, flushed to disk; otherwise nothing.

    A file that was there before stays until then. A stream of the caller's is neither closed nor taken back.
    Raises FileNotFoundError when somebody removed the target meanwhile.
    """
    if not isinstance(file, Path):
        yield file
        return
    hidden = _unfinished(file)
    try:
        # For its owner only, from the first byte on: exports are personal data.
        with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writer:
            yield writer
            writer.flush()
            os.fsync(writer.fileno())
        hidden.replace(file)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    sync(file.parent)


def remove_target(file: Path) -> None:
    """Remove the file, also one that is still being written or that a crash left unfinished; none is as good."""
    for there in (file, _unfinished(file)):
        there.unlink(missing_ok=True)


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.tmp")
