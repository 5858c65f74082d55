"""Operator rows (人工规则) as the store keeps them, and which of them contradict each other.

    merge a b    the records a and b are one person        split a b    … are never one person
    detach a b   the value b is not the record a's         owner a b    the value a is the file b's alone
    block a      nobody is joined by the value a           allow a      … lifts a hub or a blocked list

The API asks before it takes one (`api.identity`), the night before it applies them (`pipelines.warehouse.overrides`),
for a store may be edited by hand. What they do to customers is said in `pipelines.identity`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, inspect, select

from api.storage.tables.identity import identity_override


class OverrideKind(StrEnum):
    """What an operator may decide."""

    MERGE = "merge"
    SPLIT = "split"
    DETACH = "detach"
    BLOCK = "block"
    ALLOW = "allow"
    OWNER = "owner"


OF_TWO_KEYS = (OverrideKind.MERGE, OverrideKind.SPLIT)


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One decision; a and b by kind as in the module's table, b empty where there is none."""

    id: str
    kind: str
    a: str
    b: str
    valid_from: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why a row cannot stand beside others: a stable code, a sentence in each language, and which others."""

    code: str
    message_zh: str
    message_en: str
    others: tuple[str, ...] = ()


def operator_rows(connection: Connection, *, in_force_only: bool) -> list[OperatorRow]:
    """The rows of the store in the order in which they were made; none in a store of an earlier revision."""
    if not is_there(connection):
        return []
    columns = identity_override.c
    query = select(columns.id, columns.kind, columns.a, columns.b, columns.valid_from, columns.revoked_at)
    if in_force_only:
        query = query.where(columns.revoked_at.is_(None))
    rows = connection.execute(query.order_by(columns.valid_from, columns.id)).mappings()
    return [OperatorRow(**row) for row in rows]


def is_there(connection: Connection) -> bool:
    """Whether the store has the table: a night may meet one that nobody has upgraded yet."""
    return inspect(connection).has_table(identity_override.name)


class Standing:
    """Rows that stand together. Thousands are written, not millions; asking about one looks at those it touches."""

    def __init__(self, rows: Iterable[OperatorRow] = ()) -> None:
        self._same: dict[tuple[str, frozenset[str]], str] = {}
        self._merges: dict[str, dict[str, str]] = defaultdict(dict)
        self._splits: dict[str, dict[str, str]] = defaultdict(dict)
        self._about: dict[str, list[OperatorRow]] = defaultdict(list)
        for row in rows:
            self.add(row)

    def add(self, row: OperatorRow) -> None:
        """The row stands from now on."""
        self._same[row.kind, frozenset((row.a, row.b))] = row.id
        match row.kind:
            case "merge":
                self._merges[row.a][row.b] = self._merges[row.b][row.a] = row.id
            case "split":
                self._splits[row.a][row.b] = self._splits[row.b][row.a] = row.id
            case _:
                self._about[_value_of(row)].append(row)

    def against(self, row: OperatorRow) -> list[Contradiction]:
        """Everything that speaks against one row more."""
        if row.kind not in set(OverrideKind):
            return [_unknown_kind(row)]
        if row.a == row.b:
            return [SAME_IDENTITY]
        same = self._same.get((row.kind, frozenset((row.a, row.b))))
        if same is not None:
            return [_exists(same)]
        match row.kind:
            case "merge":
                return self._against_merge(row)
            case "split":
                path = self._joining(row.a).get(row.b)
                return [] if path is None else [_inside_merge(path)]
        return [_decided(other.id) for other in self._about[_value_of(row)] if _differ(row, other)]

    def _against_merge(self, row: OperatorRow) -> list[Contradiction]:
        left, right = ({key, *self._joining(key)} for key in (row.a, row.b))
        apart = {
            split for key in left if key in self._splits for other, split in self._splits[key].items() if other in right
        }
        return [_across_split(split) for split in sorted(apart)]

    def _joining(self, start: str) -> dict[str, tuple[str, ...]]:
        """The keys that merges make one person with `start`, each with the merges on the shortest way there."""
        ways: dict[str, tuple[str, ...]] = {start: ()}
        queue = [start]
        for key in queue:
            for other, merge in self._merges.get(key, {}).items():
                if other not in ways:
                    ways[other] = (*ways[key], merge)
                    queue.append(other)
        del ways[start]
        return ways


def _value_of(row: OperatorRow) -> str:
    return row.b if row.kind == "detach" else row.a


def _differ(one: OperatorRow, other: OperatorRow) -> bool:
    """Whether two rows about the same value say what cannot both be meant."""
    kinds = {one.kind, other.kind}
    if kinds == {"owner", "detach"}:
        owner, detach = (one, other) if one.kind == "owner" else (other, one)
        return owner.b == detach.a
    return kinds in ({"block", "allow"}, {"block", "owner"}, {"owner"})


SAME_IDENTITY = Contradiction("same_identity", "两处为同一个身份", "Both sides are the same identity.")


def _unknown_kind(row: OperatorRow) -> Contradiction:
    return Contradiction("unknown_override", f"人工规则类型未知:{row.kind}", f"There is no override kind {row.kind}.")


def _exists(other: str) -> Contradiction:
    return Contradiction(
        "override_exists", f"已有相同的人工规则 {other}", f"Override {other} says the same already.", (other,)
    )


def _inside_merge(merges: tuple[str, ...]) -> Contradiction:
    named = ", ".join(merges)
    return Contradiction(
        "split_inside_merge",
        f"与合并规则 {named} 矛盾:两个身份已由人工合并,请先撤销",
        f"The overrides {named} merge these two: revoke one of them first.",
        merges,
    )


def _across_split(split: str) -> Contradiction:
    return Contradiction(
        "merge_across_split",
        f"与拆分规则 {split} 矛盾:合并后会包含已人工拆分的身份,请先撤销",
        f"The override {split} keeps apart whom this would merge: revoke it first.",
        (split,),
    )


def _decided(other: str) -> Contradiction:
    return Contradiction(
        "value_decided_otherwise",
        f"与人工规则 {other} 矛盾:该取值已有不同的决定,请先撤销",
        f"The override {other} decides otherwise about this value: revoke it first.",
        (other,),
    )
