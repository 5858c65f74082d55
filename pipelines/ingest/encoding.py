"""Text encodings of landed files: telling which one a file has, and rewriting it as UTF-8 in a stream.

Only whole files are judged here; single broken lines of a UTF-8 file are found by `records`.
"""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.ingest.manifest import Encoding
from pipelines.ingest.records import UTF8_BOM

CHUNK_BYTES = 1 << 22
SAMPLED_BYTES = 1 << 18
SAMPLED_LINES = 20_000
# What a decoder writes in place of bytes that are no text; U+FFFD itself is legal text, a lone surrogate never is.
_BROKEN_MARK = "\udcff"


def likely_encoding(file: Path, declared: Encoding | None) -> Encoding:
    """The encoding to try first, from the file's beginning: the declared one, UTF-16 with BOM, GB18030 or UTF-8."""
    if declared is not None:
        return declared
    with file.open("rb") as stream:
        start = stream.read(SAMPLED_BYTES)
    if start[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if start.isascii() or start.startswith(UTF8_BOM):
        return "utf-8"
    return "utf-8" if _reads_mostly_as_utf8(io.BytesIO(start)) else "gb18030"


def certain_encoding(file: Path) -> Encoding:
    """UTF-8 or GB18030 for a file that did not read as clean UTF-8, from many of its lines.

    GB18030 only when most lines with non-ASCII bytes are no UTF-8: a few broken lines leave a file UTF-8.
    """
    with file.open("rb") as stream:
        return "utf-8" if _reads_mostly_as_utf8(stream) else "gb18030"


def has_carriage_returns_only(file: Path) -> bool:
    """Whether lines end in a lone carriage return, as very old spreadsheets write them."""
    with file.open("rb") as stream:
        start = stream.read(1 << 16)
    return b"\r" in start and b"\n" not in start


def rewrite_as_utf8(file: Path, target: Path, encoding: Encoding, *, only_returns: bool = False) -> None:
    """Write `file` as UTF-8 without BOM to `target`; bytes that are no text become bytes that are no UTF-8.

    So a broken line stays broken, and is quarantined like one of a UTF-8 file. `only_returns` makes lone carriage
    returns line feeds.
    """
    with file.open("rb") as source, target.open("wb") as sink:
        for text in _decoded(source, encoding):
            clean = text.replace("\r", "\n") if only_returns else text
            sink.write(clean.encode("utf-8", errors="surrogateescape"))


def _decoded(source: BinaryIO, encoding: Encoding) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="cdp-mark-broken")
    first = True
    while chunk := source.read(CHUNK_BYTES):
        text = decoder.decode(chunk)
        yield text.removeprefix("\ufeff") if first else text
        first = False
    yield decoder.decode(b"", final=True)


def _reads_mostly_as_utf8(stream: BinaryIO) -> bool:
    good = broken = 0
    for line in stream:
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            broken += 1
        if good + broken >= SAMPLED_LINES:
            break
    return good >= broken


def _mark_broken(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BROKEN_MARK, error.end


codecs.register_error("cdp-mark-broken", _mark_broken)
