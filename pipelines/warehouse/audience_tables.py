"""Tags and segments as tables that analysts join (成员、区间、变动), in the file that is about to be published.

They hold what the calculation of this night found, and the history of all that count and are kept: of an audience whose
first calculations are forgotten, whoever was in by the oldest that is kept is told as having entered by it. Calculating
belongs to `warehouse.audiences`; what is served between nights to the operational store's pointers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection

from api.storage.audience_snapshot import NamedAudience
from api.storage.audiences import StoredVersion
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.memberships import DamagedMembershipsError, Difference, read_memberships

Versions = Sequence[StoredVersion]
# An audience and the number of a calculation.
_Key = tuple[int, int]
_NOBODY: Final = np.zeros(0, np.int64)

# As `StoredVersion` names them, in the order of the table.
_OF_VERSION: Final = (
    "audience_id", "number", "definition", "as_of", "computed_at", "trigger", "member_count", "entered_count",
    "left_count", "file",
)  # fmt: skip

_CHANGES: Final = """
    create table if not exists marts.smart_audience_change (
        audience_id integer not null, version integer not null, customer_key integer not null,
        has_entered boolean not null, is_merge boolean not null
    )
"""
_VERSIONS: Final = """
    create or replace table marts.audience_version (
        audience_id integer not null, version integer not null, definition integer not null, as_of date not null,
        computed_at timestamp with time zone not null, "trigger" varchar not null, member_count integer not null,
        entered_count integer not null, left_count integer not null, file varchar not null
    )
"""
_AUDIENCES: Final = """
    create or replace table marts.audience (
        audience_id integer not null, audience_kind varchar not null, audience_name varchar not null,
        group_name varchar, is_smart boolean not null, is_enabled boolean not null, is_deleted boolean not null,
        member_count integer not null
    )
"""
_MEMBERS: Final = """
    create or replace table marts.audience_members (
        audience_kind varchar not null, audience_id integer not null, customer_key integer not null
    )
"""
# Whom a former id belongs to now; a customer whose ids were merged may have been put in twice.
_STATIC: Final = """
    create or replace table marts.static_audience_member as
    with
    ids as (
        select one_id, customer_key from marts.dim_customer
        union all
        select old_one_id, customer_key from marts.one_id_alias semi join marts.dim_customer using (customer_key)
    )
    select
        audience_id, customer_key, added_at, added_how, removed_at, removed_how
    from static_member inner join ids using (one_id)
    order by audience_id, added_at, customer_key, removed_at
"""
_VIEWS: Final = {
    "audience_changes": """
        with
        kept_from as (
            select audience_id, min(version) as version from marts.audience_version group by all having version > 1
        )
        select
            audience_id, audience_kind, customer_key, case when has_entered then 'entered' else 'left' end as change,
            computed_at as changed_at, as_of as changed_on,
            case
                when (audience_id, version) in (from kept_from) then 'earlier'
                when is_merge then 'merge'
                else 'rule'
            end as reason,
            "trigger", definition
        from marts.smart_audience_change
        inner join marts.audience_version using (audience_id, version)
        inner join marts.audience using (audience_id)
        union all by name
        select
            audience_id, audience_kind, customer_key, 'entered' as change, added_at as changed_at,
            added_at::date as changed_on, added_how as reason
        from marts.static_audience_member inner join marts.audience using (audience_id)
        union all by name
        select
            audience_id, audience_kind, customer_key, 'left' as change, removed_at as changed_at,
            removed_at::date as changed_on, removed_how as reason
        from marts.static_audience_member inner join marts.audience using (audience_id)
        where removed_at is not null
    """,
    "audience_membership": """
        with
        steps as (
            select
                audience_id, customer_key, has_entered, computed_at as entered_at,
                lead(computed_at) over (partition by audience_id, customer_key order by version) as left_at
            from marts.smart_audience_change inner join marts.audience_version using (audience_id, version)
        )
        select audience_id, audience_kind, customer_key, entered_at, left_at
        from steps inner join marts.audience using (audience_id)
        where has_entered
        union all
        select audience_id, audience_kind, customer_key, added_at, removed_at
        from marts.static_audience_member inner join marts.audience using (audience_id)
    """,
}
COMMENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "audience": (
        "One row per tag or segment (每个标签或分群一行),已删除的也在其中。",
        {
            "audience_id": "标签或分群编号",
            "audience_kind": "tag 标签、segment 分群",
            "audience_name": "名称",
            "group_name": "标签组名称;分群没有",
            "is_smart": "是否智能(按规则计算)",
            "is_enabled": "是否启用",
            "is_deleted": "是否已删除",
            "member_count": "当晚的客户数",
        },
    ),
    "audience_members": (
        "One row per tag or segment and customer in it that night (每个标签或分群的每位当前客户一行),只含启用的。",
        {"audience_kind": "tag 标签、segment 分群", "audience_id": "标签或分群编号", "customer_key": "客户键"},
    ),
    "audience_version": (
        "One row per calculation that counted (每个智能标签或分群的每次有效计算一行)。",
        {
            "audience_id": "标签或分群编号",
            "version": "第几次计算",
            "definition": "所用规则的版本",
            "as_of": "数据的业务日期",
            "computed_at": "计算时间",
            "trigger": "触发方式:nightly 每晚、manual 手动、definition 规则变更",
            "member_count": "计算后的客户数",
            "entered_count": "进入人数",
            "left_count": "离开人数",
            "file": "成员文件",
        },
    ),
    "smart_audience_change": (
        "One row per customer who entered or left by a calculation (每次计算中每位进入或离开的客户一行)。",
        {
            "audience_id": "标签或分群编号",
            "version": "第几次计算",
            "customer_key": "客户键,当时的",
            "has_entered": "进入为真,离开为假",
            "is_merge": "由身份合并引起,而非规则",
        },
    ),
    "static_audience_member": (
        "One row per time that a customer was put into a static tag or segment (静态标签、分群每次加入一行)。",
        {
            "audience_id": "标签或分群编号",
            "customer_key": "客户键,现在的",
            "added_at": "加入时间",
            "added_how": "加入方式:staff 员工、bulk 批量、filter 按条件、import 导入、sync 同步",
            "removed_at": "移除时间,空为仍在",
            "removed_how": "移除方式,同上",
        },
    ),
    "audience_changes": (
        "One row per time that a customer entered or left a tag or segment (每次进入或离开一行),全部历史。",
        {
            "audience_id": "标签或分群编号",
            "audience_kind": "tag 标签、segment 分群",
            "customer_key": "客户键",
            "change": "entered 进入、left 离开",
            "changed_at": "变动时间",
            "changed_on": "变动日期:智能的为数据的业务日期",
            "reason": "rule 规则、merge 身份合并、earlier 早于保留期已在其中,或静态的加入、移除方式",
            "trigger": "触发方式:nightly 每晚、manual 手动、definition 规则变更;静态的为空",
            "definition": "所用规则的版本;静态的为空",
        },
    ),
    "audience_membership": (
        "One row per stretch of time in which a customer was in a tag or segment (每段在内的时间一行),全部历史。",
        {
            "audience_id": "标签或分群编号",
            "audience_kind": "tag 标签、segment 分群",
            "customer_key": "客户键",
            "entered_at": "进入时间;早于保留期的,为最早保留的那次计算的时间",
            "left_at": "离开时间,空为仍在",
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What the night knows.

    named: all there ever were; members: of those that are served from now on; versions: every calculation that counts,
    this night's included
    """

    named: Sequence[NamedAudience]
    members: Mapping[int, Bitmap]
    versions: Versions


def write_tables(con: DuckDBPyConnection, found: Found, folder: Path, static_members: pa.Table) -> int:
    """Bring the tables in the file that is open to what was found; the rows of members.

    static_members: `ingest.static_member`; folder: of the membership files
    """
    con.register("static_member", static_members)
    con.execute("begin")
    con.execute(_STATIC)
    _write_audiences(con, found)
    rows = _write_members(con, found)
    _bring_changes(con, found.versions, folder)
    for name, query in _VIEWS.items():
        con.execute(f"create or replace view marts.{name} as {query}")
    for name, (told, columns) in COMMENTS.items():
        _comment(con, name, told, columns)
    con.execute("commit")
    con.unregister("static_member")
    return rows


def _write_audiences(con: DuckDBPyConnection, found: Found) -> None:
    con.execute(_AUDIENCES)
    rows = [
        (one.id, one.kind, one.name, one.group_name, one.is_smart, one.is_enabled, one.is_deleted,
         len(found.members.get(one.id, ())))
        for one in found.named
    ]  # fmt: skip
    if rows:
        con.executemany(f"insert into marts.audience values ({', '.join('?' * len(rows[0]))})", rows)


def _write_members(con: DuckDBPyConnection, found: Found) -> int:
    con.execute(_MEMBERS)
    kinds = {one.id: one.kind for one in found.named}
    total = 0
    for audience_id, bitmap in sorted(found.members.items()):
        keys = bitmap.keys()
        con.register("members", pa.table({"customer_key": keys}))
        con.execute(
            "insert into marts.audience_members select $kind, $id, customer_key from members",
            {"kind": kinds[audience_id], "id": audience_id},
        )
        con.unregister("members")
        total += len(keys)
    return total


def _bring_changes(con: DuckDBPyConnection, versions: Versions, folder: Path) -> None:
    """Keep the changes of calculations that are there already, and read those of all others from their files.

    A calculation of a former night may have come to count under another number, since somebody asked for one meanwhile:
    it is known by its file, and by whether all that came before it is forgotten.
    """
    con.execute(_CHANGES)
    known = _known(con)
    wanted = {(one.audience_id, one.number): one for one in versions}
    oldest = _kept_from(wanted)
    gone = [key for key, told in known.items() if key not in wanted or told != (wanted[key].file, key in oldest)]
    if gone:
        con.register("gone", pa.table({"audience_id": [key[0] for key in gone], "version": [key[1] for key in gone]}))
        con.execute("delete from marts.smart_audience_change where (audience_id, version) in (from gone)")
        con.unregister("gone")
    kept = known.keys() - set(gone)
    _append(con, [one for key, one in wanted.items() if key not in kept], oldest, folder)
    con.execute(_VERSIONS)
    # Hundreds of audiences, each every night, for years: too many to insert one by one.
    columns = {name: [getattr(one, name) for one in wanted.values()] for name in _OF_VERSION}
    _insert(con, "audience_version", pa.table(columns))


def _kept_from(versions: Collection[_Key]) -> frozenset[_Key]:
    """The oldest that is kept of each audience of which older ones are forgotten."""
    oldest: dict[int, int] = {}
    for audience_id, number in versions:
        oldest[audience_id] = min(number, oldest.get(audience_id, number))
    return frozenset((audience_id, number) for audience_id, number in oldest.items() if number > 1)


def _known(con: DuckDBPyConnection) -> dict[_Key, tuple[str, bool]]:
    """File of each calculation that is there, and whether all that came before it is forgotten."""
    there = con.execute(
        "select 1 from duckdb_tables() where schema_name = 'marts' and table_name = 'audience_version'"
    ).fetchall()
    if not there:
        return {}
    found = con.execute("select audience_id, version, file from marts.audience_version").fetchall()
    oldest = _kept_from([(audience_id, version) for audience_id, version, _ in found])
    return {(one, version): (file, (one, version) in oldest) for one, version, file in found}


def _append(con: DuckDBPyConnection, versions: Versions, oldest: Collection[_Key], folder: Path) -> None:
    by_file: dict[str, list[StoredVersion]] = {}
    for one in versions:
        by_file.setdefault(one.file, []).append(one)
    for file, of_file in by_file.items():
        try:
            found = read_memberships(folder, file, [one.audience_id for one in of_file])
        except DamagedMembershipsError:
            continue  # the history has a gap; what is served is read by others, who say so
        for one in of_file:
            told = found[one.audience_id]
            if (one.audience_id, one.number) in oldest:
                told = replace(told, difference=Difference(told.members.keys(), _NOBODY, _NOBODY))
            _insert(con, "smart_audience_change", _changes_of(one, told.difference))


def _changes_of(one: StoredVersion, changed: Difference) -> pa.Table:
    keys = np.concatenate([changed.entered, changed.left])
    return pa.table(
        {
            "audience_id": np.full(len(keys), one.audience_id),
            "version": np.full(len(keys), one.number),
            "customer_key": keys,
            "has_entered": np.arange(len(keys)) < len(changed.entered),
            "is_merge": np.isin(keys, changed.merged),
        }
    )


def _insert(con: DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    con.register("new_rows", rows)
    con.execute(f"insert into marts.{name} select * from new_rows")
    con.unregister("new_rows")


def _comment(con: DuckDBPyConnection, name: str, told: str, columns: Mapping[str, str]) -> None:
    kind = "view" if name in _VIEWS else "table"
    con.execute(f"comment on {kind} marts.{name} is '{told}'")
    for column, text in columns.items():
        con.execute(f"comment on column marts.{name}.\"{column}\" is '{text}'")
