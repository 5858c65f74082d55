"""Where an export is written to: a stream of the caller's, or a file that is either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_target(file: BinaryIO | Path) -> Iterator[BinaryIO]:
    """A stream to write to. A path gets its file when the block ends well, flushed to disk; otherwise nothing.

    A file that was there before stays until then. A stream of the caller's is neither closed nor taken back.
    """
    if not isinstance(file, Path):
        yield file
        return
    hidden = file.with_name(f".{file.name}.tmp")
    try:
        with hidden.open("wb") as writer:
            yield writer
            writer.flush()
            os.fsync(writer.fileno())
        hidden.replace(file)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
