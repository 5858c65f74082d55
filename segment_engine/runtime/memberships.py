"""Who is in audiences, as immutable files: one per calculation, in it a row per audience.

A row holds the members as packed bits over `customer_key`, and who entered and left since the version before. Which
file counts is said by pointers, which whoever calculates keeps; how members are found out belongs to `recalculate.py`.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
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

Keys = npt.NDArray[np.integer]

_WORD: Final = 64
_NOBODY: Final[Keys] = np.zeros(0, np.int64)
_KEYS: Final = pa.list_(pa.int32())
_LISTS: Final = ("entered", "left", "merged")
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
    """Keys of customers who were merged away, each with whose it is now."""

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
    """Who was merged into whom, in the version that is open."""
    found = connection.execute(
        "select old_customer_key, customer_key from marts.one_id_alias order by old_customer_key"
    ).fetchnumpy()
    return Merges(found["old_customer_key"].astype(np.int64), found["customer_key"].astype(np.int64))


def carried(before: Bitmap, merges: Merges, keys: int) -> Bitmap:
    """The same persons by the keys they have now, over so many keys."""
    gone = _among(before, merges.old)
    if not gone.any():
        return before.at_most(keys)
    most = max(keys, len(before.words) * _WORD)
    moved = (before.at_most(most) - of_keys(merges.old[gone], most)) | of_keys(merges.new[gone], most)
    return moved.at_most(keys)


def difference(before: Bitmap | None, after: Bitmap, merges: Merges) -> Difference:
    """Who entered and who left; before: None where there was no version before."""
    if before is None:
        return Difference(after.keys(), _NOBODY, _NOBODY)
    most = max(len(before.words), len(after.words)) * _WORD
    before, after = before.at_most(most), after.at_most(most)
    entered, left = changes(before, after)
    if not len(merges.old):
        return Difference(entered, left, _NOBODY)
    held = carried(before, merges, most)
    joined = entered[_among(held, entered)]
    return Difference(entered, left, np.sort(np.concatenate([joined, np.intersect1d(left, merges.old)])))


def write_memberships(folder: Path, memberships: Sequence[Membership], *, now: datetime) -> str:
    """Write a file that survives a power cut, and return its name below the folder; a crash leaves none of that name.

    now: gives the name its month and moment; the rest of it is drawn, so that no two are ever equal
    """
    moment = now.astimezone(UTC)
    name = f"{moment:%Y-%m}/{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(6)}.parquet"
    target = folder / name
    _make(target.parent)
    hidden = target.with_name(f".{target.name}.tmp")
    try:
        # A row group per audience: whoever reads one audience reads nothing of the others.
        with pq.ParquetWriter(hidden, _SCHEMA, compression="zstd", use_dictionary=False) as writer:
            for one in sorted(memberships, key=lambda one: one.audience_id):
                writer.write_table(pa.Table.from_pylist([_row(one)], _SCHEMA))
        sync(hidden)
        hidden.replace(target)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    sync(target.parent)
    return name


def read_memberships(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Membership]:
    """Rows of these audiences; raises DamagedMembershipsError when there is one without."""
    return {
        row["audience_id"]: Membership(row["audience_id"], _bitmap(row["members"]), _difference(row))
        for row in _rows(folder, file, audience_ids, ["audience_id", "members", *_LISTS])
    }


def read_members(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Bitmap]:
    """The members alone; raises DamagedMembershipsError."""
    rows = _rows(folder, file, audience_ids, ["audience_id", "members"])
    return {row["audience_id"]: _bitmap(row["members"]) for row in rows}


def read_differences(folder: Path, file: str, audience_ids: Collection[int]) -> dict[int, Difference]:
    """What a calculation changed, without the members; raises DamagedMembershipsError."""
    return {row["audience_id"]: _difference(row) for row in _rows(folder, file, audience_ids, ["audience_id", *_LISTS])}


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


def _among(members: Bitmap, keys: Keys) -> npt.NDArray[np.bool_]:
    """Of each key, whether it is one of the members."""
    words, bits = np.divmod(keys, _WORD)
    inside = words < len(members.words)
    found = np.zeros(len(keys), bool)
    found[inside] = (members.words[words[inside]] >> bits[inside].astype(np.uint64)) & np.uint64(1) == 1
    return found


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


def _difference(row: dict[str, Any]) -> Difference:
    return Difference(*(np.array(row[name], np.int64) for name in _LISTS))


def _bitmap(packed: bytes) -> Bitmap:
    return Bitmap(np.frombuffer(packed, "<u8").astype(np.uint64, copy=False))


def _rows(folder: Path, file: str, audience_ids: Collection[int], columns: list[str]) -> Iterable[dict[str, Any]]:
    wanted = set(audience_ids)
    try:
        with pq.ParquetFile(folder / file, memory_map=True) as opened:
            groups = [number for number in range(opened.num_row_groups) if _id_in(opened, number) in wanted]
            rows: list[dict[str, Any]] = opened.read_row_groups(groups, columns=columns).to_pylist() if groups else []
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DamagedMembershipsError(file, error) from error
    if missing := wanted - {row["audience_id"] for row in rows}:
        raise DamagedMembershipsError(file, f"no row of {sorted(missing)}")
    return rows


def _id_in(opened: pq.ParquetFile, group: int) -> int:
    statistics = opened.metadata.row_group(group).column(0).statistics
    return int(statistics.min)
