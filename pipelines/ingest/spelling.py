"""What a look at a text file's bytes proves about the spelling of all its values, far cheaper than a look at each.

What spelling means for SQL belongs to `normalise`.
"""

import re
from enum import Enum
from pathlib import Path

import numpy as np

from pipelines.ingest.records import UTF8_BOM

CHUNK_BYTES = 1 << 18


class Spelling(Enum):
    """What is known of a file's text values before any of them is looked at."""

    ANY = "any"
    NO_NUL = "no value holds a NUL"
    FINAL = "every value is as NFKC and trimming would leave it"


# Printable ASCII, line ends, and the UTF-8 bytes of U+4000 to U+9FFF, all of which NFKC leaves alone.
_FINAL_BYTES = bytes([10, 13, *range(32, 127), *range(0x80, 0xC0), *range(0xE4, 0xEA)])
# Beginnings of the other characters that Chinese texts are full of; only some of theirs are final.
_MARK_BYTES = b"\xe2\xe3"
_OTHER_MARK = re.compile(rb"\xe2(?!\x80[\x93\x94\x98\x99\x9c\x9d])|\xe3(?!\x80[\x81-\x83\x88-\x91])")
_SPACE, _COMMA, _QUOTE, _FIRST_PRINTABLE = 0x20, 0x2C, 0x22, 0x20


def csv_spelling(file: Path) -> Spelling:
    """The spelling of a UTF-8 CSV file's values; FINAL is proven, everything else only not excluded."""
    is_final, has_marks = True, False
    before = b"\n"
    with file.open("rb", buffering=0) as stream:
        first = True
        while chunk := stream.read(CHUNK_BYTES):
            content = before + (chunk.removeprefix(UTF8_BOM) if first else chunk)
            if b"\0" in content:
                return Spelling.ANY
            if is_final:
                strange = content.translate(None, _FINAL_BYTES)
                has_marks = has_marks or bool(strange)
                is_final = not strange.strip(_MARK_BYTES) and not _may_need_trimming(content)
            before, first = content[-1:], False
        is_final = is_final and not _may_need_trimming(before + b"\n")
    if is_final and has_marks:
        is_final = _OTHER_MARK.search(file.read_bytes()) is None
    return Spelling.FINAL if is_final else Spelling.NO_NUL


def _may_need_trimming(content: bytes) -> bool:
    """Whether a space stands at the edge of a field, or a line end at the edge of a quoted one."""
    codes = np.frombuffer(content, np.uint8)
    space, line_end, quote = codes == _SPACE, codes < _FIRST_PRINTABLE, codes == _QUOTE
    edge = line_end | quote | (codes == _COMMA)
    touching = (space[1:] & edge[:-1]) | (edge[1:] & space[:-1])
    touching |= (line_end[1:] & quote[:-1]) | (quote[1:] & line_end[:-1])
    return bool(touching.any())
