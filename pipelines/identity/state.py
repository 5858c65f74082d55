"""The tables one night leaves for the next, and the way back to the state before a night.

Public: assignment, registry, event, value_state, conflict (docs/architecture.md). Private: `link` (accepted links as
hashes: enough to tell a new link from an old one, and no phone in it), `override_seen` (operator rows in force),
`night` (one row per night), `settled` (up to which event a night is not taken back when run again). All but `event`,
`night` and `settled` have a twin `<table>_before`, the state before the last night that replaced anything; running that
night again starts there.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

import duckdb

from pipelines.identity.model import IdentityNightError, NightSummary

# Rewritten every night and read right after: compressing their texts takes three times the time of writing them.
_PLAIN: Final = "varchar using compression 'uncompressed'"

_COLUMNS: Final[dict[str, str]] = {
    "assignment": f"""
        key {_PLAIN} not null, one_id {_PLAIN} not null, customer_key integer not null, present boolean not null,
        reason_value_type varchar, reason_value_masked {_PLAIN}, reason_via_key {_PLAIN}
    """,
    "registry": f"""
        one_id {_PLAIN} not null, customer_key integer not null, founder_key {_PLAIN} not null,
        generation integer not null, minted_night date not null, status varchar not null, merged_into varchar,
        changed_night date not null
    """,
    "value_state": """
        value_type varchar not null, value varchar not null, state varchar not null, persons integer not null,
        adults integer not null, unions integer not null, records integer not null, owner_key varchar
    """,
    "conflict": """
        night date not null, value_type varchar not null, value_masked varchar not null, tier integer not null,
        left_key varchar not null, right_key varchar, reason varchar not null
    """,
    "link": "key_hash ubigint not null, value_hash ubigint not null, strength bigint not null",
    "override_seen": "id varchar not null, kind varchar not null, a varchar not null, b varchar not null",
}
# Kept for ever: small, but without the search for the smallest form.
_PACKED: Final = "varchar using compression 'zstd'"

_LOGS: Final[dict[str, str]] = {
    "event": f"""
        night date not null, seq integer not null, event varchar not null, key {_PACKED}, from_id varchar,
        to_id {_PACKED}, cause_value_type varchar, cause_value_masked {_PACKED}, via_key {_PACKED}, override_id varchar
    """,
    "night": """
        night date not null, fingerprint varchar not null, replaced boolean not null, summary varchar not null
    """,
    "settled": "night date not null, seq integer not null",
}


@dataclass(frozen=True, slots=True)
class State:
    """Where the state before tonight lies, and what is known of the night itself.

    before: names of the tables to read from; repeated: the night ran already and replaced tables;
    unchanged: the summary of the night whose input was the same, when nothing has to be done but to log it.
    """

    schema: str
    night: date
    fingerprint: str
    repeated: bool
    unchanged: NightSummary | None

    def before(self, table: str) -> str:
        return f"{self.schema}.{table}{'_before' if self.repeated else ''}"

    def now(self, table: str) -> str:
        return f"{self.schema}.{table}"


def ensure_tables(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Create the schema and its tables where they are missing."""
    con.execute(f"create schema if not exists {schema}")
    for table, columns in _COLUMNS.items():
        for name in (table, f"{table}_before"):
            con.execute(f"create table if not exists {schema}.{name} ({columns})")
    for table, columns in _LOGS.items():
        con.execute(f"create table if not exists {schema}.{table} ({columns})")


def open_state(con: duckdb.DuckDBPyConnection, schema: str, night: date, fingerprint: str) -> State:
    """Find the state before `night`; raises IdentityNightError when a later night has run."""
    rows = con.execute(f"select * from {schema}.night order by night desc limit 1").fetchall()
    if not rows:
        return State(schema, night, fingerprint, repeated=False, unchanged=None)
    last, last_fingerprint, replaced, summary = rows[0]
    if night < last:
        raise IdentityNightError(
            "night_is_over",
            f"{night} 早于已处理的最后一晚 {last},其客户编号无法再推算",
            f"{night} is earlier than the last night, {last}; its ids can no longer be derived",
        )
    unchanged = _summary(summary, night, repeated=night == last) if fingerprint == last_fingerprint else None
    return State(schema, night, fingerprint, repeated=replaced and night == last, unchanged=unchanged)


def last_night(con: duckdb.DuckDBPyConnection, schema: str) -> date | None:
    """The newest night that has run, or None before the first."""
    there = con.execute(
        "select count(*) from duckdb_tables() where schema_name = $schema and table_name = 'night'", {"schema": schema}
    ).fetchone()
    if there == (0,):
        return None
    row = con.execute(f"select max(night) from {schema}.night").fetchone()
    return row[0] if row else None


def replace_tables(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Make room for tonight's tables: keep the state before the night, empty the rest, forget the night's events."""
    for table, columns in _COLUMNS.items():
        if state.repeated:
            con.execute(f"drop table {state.now(table)}")
        else:
            con.execute(f"drop table {state.schema}.{table}_before")
            con.execute(f"alter table {state.now(table)} rename to {table}_before")
        con.execute(f"create table {state.now(table)} ({columns})")
    con.execute(
        f"delete from {state.now('event')} where night = $night and seq > $settled",
        {"night": state.night, "settled": settled_events(con, state)},
    )


def settled_events(con: duckdb.DuckDBPyConnection, state: State) -> int:
    """How many events of the night stay when it runs again; 0 unless persons were erased since it ran."""
    row = con.execute(
        f"select coalesce(max(seq), 0) from {state.now('settled')} where night = $night", {"night": state.night}
    ).fetchone()
    assert row is not None
    return int(row[0])


def tables_to_read(state: State) -> State:
    """The state as its tables are named once `replace_tables` has run."""
    return State(state.schema, state.night, state.fingerprint, repeated=True, unchanged=None)


def log_night(con: duckdb.DuckDBPyConnection, state: State, summary: NightSummary, *, replaced: bool) -> None:
    """Write the night's row; a night has one, however often it runs."""
    facts = {name: value for name, value in asdict(summary).items() if name not in ("night", "seconds")}
    con.execute(f"delete from {state.now('night')} where night = $night", {"night": state.night})
    con.execute(
        f"insert into {state.now('night')} values ($night, $fingerprint, $replaced, $summary)",
        {
            "night": state.night,
            "fingerprint": state.fingerprint,
            "replaced": replaced,
            "summary": json.dumps(facts, sort_keys=True),
        },
    )


def fingerprint_of(con: duckdb.DuckDBPyConnection, inputs: Sequence[tuple[str, str]], parameters: str) -> str:
    """A text that is the same for the same rows in any order: per (relation, columns) the sum of row hashes.

    The engine's version is part of it, because its hash function is its own.
    """
    parts = [duckdb.__version__, parameters]
    for relation, columns in inputs:
        row = con.execute(f"select count(*), coalesce(sum(hash({columns})), 0) from {relation}").fetchone()
        assert row is not None
        parts.append(f"{row[0]}:{row[1]}")
    return "|".join(parts)


def _summary(text: str, night: date, *, repeated: bool) -> NightSummary:
    facts = json.loads(text)
    if not repeated:
        facts["events"] = {}
    return NightSummary(night=night, **facts)
