"""Tags and segments as a night takes them over from the operational store: once, in its ingest.

What somebody edits while it runs is the next night's; a definition is never half applied. Calculating is
`warehouse.audiences`'.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from api.storage.audience_snapshot import MEMBER_COLUMNS, NamedAudience, Snapshot, read_member_rows, read_snapshot
from api.storage.audiences import StoredAudience, StoredRule
from pipelines.operational import operational_store
from pipelines.settings import PipelineSettings

_TABLES = """
    create table if not exists ingest.audience_snapshot (content varchar not null);
    alter table ingest.audience_snapshot add column if not exists read_at timestamp with time zone;
    create table if not exists ingest.static_member (
        id bigint not null, audience_id integer not null, one_id varchar not null,
        added_at timestamp with time zone not null, added_how varchar not null,
        removed_at timestamp with time zone, removed_how varchar
    );
"""
_NOTHING = Snapshot((), (), (), ())


def take_audiences(
    con: DuckDBPyConnection, settings: PipelineSettings, day: date, *, now: datetime | None = None
) -> None:
    """Make the warehouse hold what the store holds now, for a business day; nothing where there is no store.

    now: noted, so that what is changed later is known to be newer; None where nobody changes anything meanwhile
    """
    con.execute(_TABLES)
    con.execute("begin")
    con.execute("delete from ingest.audience_snapshot")
    con.execute("delete from ingest.static_member")
    with operational_store(settings) as store:
        if store is not None:
            with store.read() as connection:
                con.execute(
                    "insert into ingest.audience_snapshot values ($content, $now)",
                    {"content": _text(read_snapshot(connection, day)), "now": now},
                )
                for columns in read_member_rows(connection):
                    _insert_members(con, columns)
    con.execute("commit")


def taken_audiences(con: DuckDBPyConnection) -> Snapshot:
    """What the night took over."""
    con.execute(_TABLES)
    found = con.execute("select content from ingest.audience_snapshot").fetchall()
    if not found:
        return _NOTHING
    content = json.loads(found[0][0])
    return Snapshot(
        tuple(StoredRule(**one) for one in content["rules"]),
        tuple(StoredAudience(**one) for one in content["usable"]),
        tuple(NamedAudience(**one) for one in content["named"]),
        tuple(content["excluded_clinics"]),
    )


def taken_at(con: DuckDBPyConnection) -> datetime | None:
    """When that was; None where nobody said so."""
    con.execute(_TABLES)
    found = con.execute("select read_at from ingest.audience_snapshot").fetchone()
    return None if found is None else found[0]


def taken_text(con: DuckDBPyConnection) -> str:
    """The same as one text, for the fingerprint of a night: a static one's revision stands for its members."""
    con.execute(_TABLES)
    found = con.execute("select content from ingest.audience_snapshot").fetchall()
    contents = [json.loads(content) for (content,) in found]
    # A store in which nobody has made anything yet is no news to a night without one.
    return "".join(_without_revisions_of_smart(content) for content in contents if any(content.values()))


def _text(snapshot: Snapshot) -> str:
    return json.dumps(asdict(snapshot), ensure_ascii=False, sort_keys=True)


def _without_revisions_of_smart(content: dict[str, Any]) -> str:
    """A calculation grows them, and is no reason to calculate again."""
    for one in (*content["usable"], *content["named"]):
        if one["is_smart"]:
            one["revision"] = 0
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def _insert_members(con: DuckDBPyConnection, columns: Mapping[str, list[Any]]) -> None:
    # Registered by name, since DuckDB does not look into callers' variables here.
    con.register("taken_members", pa.table(dict(columns)))
    con.execute(f"insert into ingest.static_member select {', '.join(MEMBER_COLUMNS)} from taken_members")
    con.unregister("taken_members")
