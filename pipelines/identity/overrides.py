"""Operator rows in force tonight: merge, split, detach, block, allow, owner.

    merge a b    the records a and b are one person        split a b    … are never one person
    detach a b   the value b is not the record a's         owner a b    the value a is the file b's alone
    block a      nobody is joined by the value a           allow a      … lifts a hub or a blocked list

Here they are read and checked against each other; the modules of the steps apply them. Storing them, permissions and
dry runs belong to the API.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from pipelines.identity.frames import store
from pipelines.identity.model import IdentityOverrideError

KINDS_OF_OVERRIDE = ("merge", "split", "detach", "block", "allow", "owner")
# Days are those of the connection's zone: what is decided in the course of a day counts in the night of that day.
IN_FORCE = "(valid_from is null or valid_from::date <= $night) and (revoked_at is null or revoked_at::date > $night)"


@dataclass(frozen=True, slots=True, order=True)
class Override:
    """One operator row; a and b by kind as in the module's table."""

    id: str
    kind: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """All rows in force, ordered by id."""

    rows: tuple[Override, ...] = ()

    def of_kind(self, kind: str) -> list[Override]:
        return [row for row in self.rows if row.kind == kind]

    def merged(self) -> list[list[str]]:
        """Keys that operators declared one person: groups of two and more, through keys that are gone as well."""
        groups = _Groups((row.a, row.b) for row in self.of_kind("merge"))
        return groups.all()


def read_overrides(con: duckdb.DuckDBPyConnection, relation: str | None, *, night: date) -> Overrides:
    """The rows of `relation` in force at the end of `night` in the connection's zone.

    in: id, kind, a, b, valid_from, revoked_at; further columns are ignored
    Raises IdentityOverrideError for unknown kinds and for a split of records that a merge joins.
    """
    if relation is None:
        return Overrides()
    rows = con.execute(
        f"""
        select id::varchar, kind, coalesce(a, ''), coalesce(b, '')
        from {relation}
        where {IN_FORCE}
        order by id::varchar
        """,
        {"night": night},
    ).fetchall()
    overrides = Overrides(tuple(Override(*row) for row in rows))
    refuse_contradictions(overrides)
    return overrides


def store_overrides(con: duckdb.DuckDBPyConnection, overrides: Overrides) -> None:
    """Leave the rows in the temporary table `night_override` for the steps in SQL."""
    columns = list(zip(*((row.id, row.kind, row.a, row.b) for row in overrides.rows), strict=True)) or [()] * 4
    names = ("id", "kind", "a", "b")
    store(con, "night_override", {n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})


def refuse_contradictions(overrides: Overrides) -> None:
    """Raise IdentityOverrideError for unknown kinds and for splits of records that a merge joins."""
    unknown = [row.id for row in overrides.rows if row.kind not in KINDS_OF_OVERRIDE]
    if unknown:
        raise IdentityOverrideError(
            "unknown_override", f"人工规则类型未知:{unknown}", f"operator rows of unknown kind: {unknown}", unknown
        )
    group = {key: number for number, keys in enumerate(overrides.merged()) for key in keys}
    contradictions = [
        (split.id, [row.id for row in overrides.of_kind("merge") if group.get(row.a) == group.get(split.a)])
        for split in overrides.of_kind("split")
        if split.a == split.b or (split.a in group and group[split.a] == group.get(split.b))
    ]
    if contradictions:
        raise IdentityOverrideError(
            "split_inside_merge",
            ";".join(f"拆分 {split} 与合并 {merges} 矛盾" for split, merges in contradictions),
            "; ".join(f"split {split} contradicts merge {merges}" for split, merges in contradictions),
            list(dict.fromkeys(row for split, merges in contradictions for row in (split, *merges))),
        )


class _Groups:
    """Groups of keys under pairwise sameness; operators write thousands of rows, not millions."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._parent: dict[str, str] = {}
        for a, b in pairs:
            low, high = sorted((self._root(a), self._root(b)))
            self._parent[high] = low

    def all(self) -> list[list[str]]:
        members: Mapping[str, list[str]] = defaultdict(list)
        for key in sorted(self._parent):
            members[self._root(key)].append(key)
        return [keys for keys in members.values() if len(keys) > 1]

    def _root(self, key: str) -> str:
        self._parent.setdefault(key, key)
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key
