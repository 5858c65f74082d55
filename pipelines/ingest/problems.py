"""What can be wrong with a whole batch, as data: a stable code, where, and a sentence in Chinese and English.

Reasons for single rows live in `quarantine`; finding problems belongs to the modules that check.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a batch, and where."""

    code: str  # stable, for machines: "checksum_mismatch"
    path: str  # JSON Pointer into the manifest ("/files/0/sha256"), or the name of the file that was read
    message_zh: str  # one sentence, for people: what was found, what is expected
    message_en: str
