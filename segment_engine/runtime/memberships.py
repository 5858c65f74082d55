"""Who is in audiences, as immutable files: one per calculation, in it a row per audience.

A row holds the members as packed bits over `customer_key`, and who entered and left since the version before. Which
file counts is said by pointers, which whoever calculates keeps; how members are found out belongs to `recalculate.py`.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from segment_engine.runtime.bitmaps import Bitmap, changes, of_keys
from segment_engine.runtime.durable import sync
from segment_engine.runtime.published import EarlierReleaseError

Keys = npt.NDArray[np.integer]

_WORD: Final = 64
# The footer's length and Parquet's mark.
_TAIL: Final = 8
_NOBODY: Final[Keys] = np.zeros(0, np.int64)
_KEYS: Final = pa.list_(pa.int32())
_LISTS: Final = ("entered", "left", "merged")
# What Arrow makes of damaged bytes, and Python of what Arrow makes of them.
_UNREADABLE: Final = (
    OSError, pa.ArrowException, ValueError, LookupError, TypeError, AttributeError, MemoryError, OverflowError,
)  # fmt: skip
_SCHEMA: Final = pa.schema(
    [
        ("audience_id", pa.int64()),
        ("members", pa.binary()),
        ("member_count", pa.int32()),
        ("entered", _KEYS),
        ("left", _KEYS),
        ("merged", _KEYS),
    ]
)


class DamagedMembershipsError(Exception):
    """A file that a pointer names is missing, is no such file, or holds no row of the audience."""

    def __init__(self, file: str, reason: object) -> None:
        super().__init__(
            f"memberships {file} cannot be read ({reason}): recalculate / 分群或标签的成员文件无法读取,请重新计算"
        )


@dataclass(frozen=True, slots=True)
class Merges:
    """Keys of customers who were merged away, each once and with whose it is now, however often that changed."""

    old: Keys
    new: Keys


@dataclass(frozen=True, slots=True)
class Difference:
    """Keys in order; merged: those of both whom no rule moved, but a merge of two customers into one."""

    entered: Keys
    left: Keys
    merged: Keys


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of an audience after a calculation, and what it changed."""

    audience_id: int
    members: Bitmap
    difference: Difference


def read_merges(connection: duckdb.DuckDBPyConnection) -> Merges:
    """Who was merged into whom, in the version that is open; raises EarlierReleaseError."""
    try:
        found = connection.execute(
            "select old_customer_key, customer_key from marts.one_id_alias order by old_customer_key"
        ).fetchnumpy()
    except (duckdb.BinderException, duckdb.CatalogException):
        raise EarlierReleaseError from None
    return Merges(found["old_customer_key"].astype(np.int64), found["customer_key"].astype(np.int64))


def carried(before: Bitmap, merges: Merges, keys: int) -> Bitmap:
    """The same persons by the keys they have now, over so many keys."""
    gone = before.holds(merges.old)
    if not gone.any():
        return before.at_most(keys)
    old, new = merges.old[gone], merges.new[gone]
    most = max(keys, len(before.words) * _WORD)
    # A survivor of whom no source tells anything any more may have a key beyond those of all customers.
    moved = (before.at_most(most) - of_keys(old, most)) | of_keys(new[new < most], most)
    return moved.at_most(keys)


def keys_now(keys: Keys, merges: Merges) -> Keys:
    """The keys that these customers have now, in their order; merges: by the old key, ascending, as they are read."""
    place = np.searchsorted(merges.old, keys)
    is_merged = np.append(merges.old, -1)[place] == keys
    return np.where(is_merged, np.append(merges.new, -1)[place], keys)


def difference(before: Bitmap | None, after: Bitmap, merges: Merges) -> Difference:
    """Who entered and who left; before: None where there was no version before."""
    if before is None:
        return Difference(after.keys(), _NOBODY, _NOBODY)
    most = max(len(before.words), len(after.words)) * _WORD
    before, after = before.at_most(most), after.at_most(most)
    entered, left = changes(before, after)
    joined = entered[carried(before, merges, most).holds(entered)]
    # Whoever was merged into somebody who neither was in nor is in has left by the rule.
    parted = merges.old[(before - after).holds(merges.old) & (before | after).holds(merges.new)]
    return Difference(entered, left, np.union1d(joined, parted))


def write_memberships(folder: Path, memberships: Sequence[Membership], *, now: datetime) -> str:
    """Write a file that survives a power cut, and return its name below the folder; a crash leaves none of that name.

    now: gives the name its month and moment; then something is drawn, so that no two are ever equal, and a digest says
    what the file ends in
    """
    moment = now.astimezone(UTC)
    month, stem = folder / f"{moment:%Y-%m}", f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
    _make(month)
    hidden = month / f".{stem}.tmp"
    try:
        # A row group per audience: whoever reads one audience reads nothing of the others.
        with pq.ParquetWriter(
            hidden, _SCHEMA, compression="zstd", use_dictionary=False, write_page_checksum=True
        ) as writer:
            for one in sorted(memberships, key=lambda one: one.audience_id):
                writer.write_table(pa.Table.from_pylist([_row(one)], _SCHEMA))
        sync(hidden)
        target = month / f"{stem}-{_digest_of_footer(hidden)}.parquet"
        hidden.replace(target)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    sync(month)
    return f"{month.name}/{target.name}"


def read_memberships(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Membership]:
    """Rows of these audiences; raises DamagedMembershipsError when there is one without."""
    return {
        audience_id: Membership(audience_id, _bitmap(row["members"]), _difference(row))
        for audience_id, row in _rows(folder, file, audience_ids, ["members", *_LISTS]).items()
    }


def read_members(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Bitmap]:
    """The members alone; raises DamagedMembershipsError."""
    rows = _rows(folder, file, audience_ids, ["members"])
    return {audience_id: _bitmap(row["members"]) for audience_id, row in rows.items()}


def read_differences(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Difference]:
    """What a calculation changed, without the members; raises DamagedMembershipsError."""
    return {one: _difference(row) for one, row in _rows(folder, file, audience_ids, _LISTS).items()}


def sweep_memberships(folder: Path, kept: Collection[str], *, before: datetime) -> list[str]:
    """Delete files that no pointer names and that were written before a moment; the names of the deleted."""
    names = set(kept)
    swept = []
    for file in sorted(folder.glob("*/*.parquet")) + sorted(folder.glob("*/.*.tmp")):
        name = f"{file.parent.name}/{file.name}"
        if name not in names and datetime.fromtimestamp(file.stat().st_mtime, UTC) < before:
            file.unlink(missing_ok=True)
            swept.append(name)
    return swept


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for parent in (folder.parent, folder.parent.parent):
            sync(parent)


def _row(one: Membership) -> dict[str, Any]:
    return {
        "audience_id": one.audience_id,
        "members": one.members.words.astype("<u8", copy=False).tobytes(),
        "member_count": len(one.members),
        "entered": one.difference.entered.astype(np.int32),
        "left": one.difference.left.astype(np.int32),
        "merged": one.difference.merged.astype(np.int32),
    }


def _difference(row: Mapping[str, pa.Scalar]) -> Difference:
    return Difference(*(row[name].values.to_numpy().astype(np.int64) for name in _LISTS))


def _bitmap(packed: pa.BinaryScalar) -> Bitmap:
    return Bitmap(np.frombuffer(packed.as_py(), "<u8").astype(np.uint64, copy=False))


def _rows(
    folder: Path, file: str, audience_ids: Collection[int], columns: Sequence[str]
) -> dict[int, dict[str, pa.Scalar]]:
    """By audience; nothing is read of the others."""
    wanted = set(audience_ids)
    found: dict[int, dict[str, pa.Scalar]] = {}
    try:
        _require_footer(folder / file)
        with pq.ParquetFile(folder / file, memory_map=True, page_checksum_verification=True) as opened:
            for group in range(opened.num_row_groups):
                if _id_in(opened, group) in wanted:
                    table = opened.read_row_group(group, columns=["audience_id", *columns])
                    found[table["audience_id"][0].as_py()] = {name: table[name][0] for name in columns}
    except _UNREADABLE as error:
        raise DamagedMembershipsError(file, error) from error
    if missing := wanted - found.keys():
        raise DamagedMembershipsError(file, f"no row of {sorted(missing)}")
    return found


def _require_footer(file: Path) -> None:
    """Pages have checksums of their own; where they are, and which is whose, only the name vouches for."""
    digest = _digest_of_footer(file)
    if not file.stem.endswith(f"-{digest}"):
        raise ValueError("its footer is not the one that was written")


def _digest_of_footer(file: Path) -> str:
    """Of what stands behind the pages; raises OSError, ValueError."""
    with file.open("rb") as opened:
        opened.seek(-_TAIL, os.SEEK_END)
        length = int.from_bytes(opened.read(4), "little")
        opened.seek(-_TAIL - length, os.SEEK_END)
        return hashlib.sha256(opened.read()).hexdigest()[:12]


def _id_in(opened: pq.ParquetFile, group: int) -> int:
    return int(opened.metadata.row_group(group).column(0).statistics.min)
