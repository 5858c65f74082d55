"""The tables one night leaves for the next, and the way back to the state before a night.

Public: assignment, registry, event, value_state, conflict (docs/architecture.md). Private: `carried` (who carries which
value, as hashes, and which of it joined: enough to tell a new link from an old one, and no phone in it), `seen` (what
tonight's records said of themselves, as a digest, and the component they are in before any limit), `bucket` (sums of
both, see `digests.py`), `override_seen`, `blocked_seen`, `night` (one row per night), `settled` (up to which event a
night is not taken back when run again), `handed_out` (ids that a run which was taken back had minted, and
their keys, until the registry has them).

A night replaces every row (`whole`) or those of the customers it touches (`part`, see `touched.py`). What it replaces
is kept in the twins `<table>_before`; with the tables `touched_*`, which say whose rows those are, a night that runs
again is taken back first.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import duckdb

from pipelines.identity.model import IdentityNightError, NightSummary

# Rewritten every night and read right after: compressing their texts takes three times the time of writing them.
_PLAIN: Final = "varchar using compression 'uncompressed'"
# Nothing makes these smaller.
_HASH: Final = "ubigint using compression 'uncompressed'"

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
    "carried": f"""
        key_hash {_HASH} not null, value_hash {_HASH} not null, strength bigint not null, accepted boolean not null
    """,
    "seen": f"""
        key_hash {_HASH} not null, digest {_HASH} not null, component {_HASH} not null, customer_key integer not null
    """,
    "bucket": "bucket integer not null, digest ubigint not null",
    "override_seen": "id varchar not null, kind varchar not null, a varchar not null, b varchar not null",
    "blocked_seen": "value_hash ubigint not null",
}
# Whose rows a night in part replaces in each table; a table without one is small and replaced whole.
_TOUCHED: Final[dict[str, tuple[str, str]]] = {
    "assignment": ("customer_key", "touched_customer"),
    "registry": ("customer_key", "touched_customer"),
    "value_state": ("hash(value_type, value)", "touched_value"),
    "conflict": ("hash(left_key)", "touched_record"),
    "carried": ("key_hash", "touched_record"),
    "seen": ("key_hash", "touched_record"),
}
# Kept for ever: small, but without the search for the smallest form.
_PACKED: Final = "varchar using compression 'zstd'"

_LOGS: Final[dict[str, str]] = {
    "event": f"""
        night date not null, seq integer not null, event varchar not null, key {_PACKED}, from_id varchar,
        to_id {_PACKED}, cause_value_type varchar, cause_value_masked {_PACKED}, via_key {_PACKED}, override_id varchar
    """,
    "night": """
        night date not null, fingerprint varchar not null, way varchar not null, basis varchar not null,
        summary varchar not null
    """,
    "settled": "night date not null, seq integer not null",
    "handed_out": """
        one_id varchar not null, founder_key varchar not null, generation integer not null,
        customer_key integer not null
    """,
    "touched_customer": "customer_key integer not null",
    "touched_record": "key_hash ubigint not null",
    "touched_value": "value_hash ubigint not null",
}


class Way(StrEnum):
    """How a night changed the tables: not at all, every row, or the rows of the customers it touched."""

    NONE = "none"
    WHOLE = "whole"
    PART = "part"


@dataclass(frozen=True, slots=True)
class State:
    """Where the state lies, and what is known of the night and of the one before it.

    basis: what digests of the input depend on beside the input; repeated: how the night changed the tables when it ran
    already, else None; unchanged: the summary of the night whose input was the same, when nothing has to be done but to
    log it; log_schema: where the log of earlier nights lies, when not here.
    """

    schema: str
    night: date
    fingerprint: str
    basis: str
    repeated: Way | None
    unchanged: NightSummary | None
    log_schema: str | None = None

    @property
    def log(self) -> str:
        """The events of the nights before."""
        return f"{self.log_schema or self.schema}.event"

    def before(self, table: str) -> str:
        """What tonight replaces: all that was there, or the rows of the customers it touches."""
        return f"{self.schema}.{table}_before"

    def now(self, table: str) -> str:
        return f"{self.schema}.{table}"


def ensure_tables(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Create the schema and its tables where they are missing, and bring those of earlier programs up to date."""
    con.execute(f"create schema if not exists {schema}")
    _upgrade(con, schema)
    for table, columns in _COLUMNS.items():
        for name in (table, f"{table}_before"):
            con.execute(f"create table if not exists {schema}.{name} ({columns})")
    for table, columns in _LOGS.items():
        con.execute(f"create table if not exists {schema}.{table} ({columns})")


def open_state(con: duckdb.DuckDBPyConnection, schema: str, night: date, *, fingerprint: str, basis: str) -> State:
    """Find the state before `night`; raises IdentityNightError when a later night has run."""
    rows = con.execute(
        f"select night, fingerprint, way, summary from {schema}.night order by night desc limit 1"
    ).fetchall()
    if not rows:
        return State(schema, night, fingerprint, basis, repeated=None, unchanged=None)
    last, last_fingerprint, way, summary = rows[0]
    if night < last:
        raise IdentityNightError(
            "night_is_over",
            f"{night} 早于已处理的最后一晚 {last},其客户编号无法再推算",
            f"{night} is earlier than the last night, {last}; its ids can no longer be derived",
        )
    return State(
        schema,
        night,
        fingerprint,
        basis,
        repeated=Way(way) if night == last else None,
        unchanged=_summary(summary, night, repeated=night == last) if fingerprint == last_fingerprint else None,
    )


def last_basis(con: duckdb.DuckDBPyConnection, state: State) -> str | None:
    """The basis of the newest night that is logged, None before the first."""
    row = con.execute(f"select arg_max(basis, night) from {state.now('night')}").fetchone()
    return row[0] if row else None


def last_night(con: duckdb.DuckDBPyConnection, schema: str) -> date | None:
    """The newest night that has run, or None before the first."""
    there = con.execute(
        "select count(*) from duckdb_tables() where schema_name = $schema and table_name = 'night'", {"schema": schema}
    ).fetchone()
    if there == (0,):
        return None
    row = con.execute(f"select max(night) from {schema}.night").fetchone()
    return row[0] if row else None


def take_back(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Bring every table back to the state before the night, when it ran already; note the ids it had minted."""
    if state.repeated is None:
        return
    _note_handed_out(con, state)
    for table, columns in _COLUMNS.items():
        now, before = state.now(table), state.before(table)
        if state.repeated is Way.WHOLE:
            con.execute(f"drop table {now}")
            con.execute(f"alter table {before} rename to {table}")
            con.execute(f"create table {before} ({columns})")
        elif state.repeated is Way.PART:
            con.execute(f"delete from {now} {_touched(state, table)}")
            con.execute(f"insert into {now} from {before}")
    con.execute(
        f"delete from {state.now('event')} where night = $night and seq > $settled",
        {"night": state.night, "settled": settled_events(con, state)},
    )
    # The night stays the last one, without a way to take back: were the one before it to run now, what it replaced is
    # no longer known.
    con.execute(
        f"""
        update {state.now("night")}
        set
            fingerprint = '',
            way = '{Way.NONE}',
            basis = coalesce((select arg_max(basis, night) from {state.now("night")} where night < $night), '')
        where night = $night
        """,
        {"night": state.night},
    )


def _note_handed_out(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Somebody may have written them down: a day's runs are published."""
    replaced = {Way.NONE: "where false", Way.WHOLE: "", Way.PART: _touched(state, "registry")}
    con.execute(f"""
        insert into {state.now("handed_out")}
        select one_id, founder_key, generation, customer_key
        from (from {state.now("registry")} {replaced[state.repeated or Way.NONE]}) as tonight
        anti join {state.before("registry")} as before using (customer_key)
    """)


def begin_whole(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Make room for a night that replaces every row."""
    for table, columns in _COLUMNS.items():
        con.execute(f"drop table {state.before(table)}")
        con.execute(f"alter table {state.now(table)} rename to {table}_before")
        con.execute(f"create table {state.now(table)} ({columns})")


def begin_part(con: duckdb.DuckDBPyConnection, state: State) -> None:
    """Make room for a night that replaces the rows of the tables `touched_*`."""
    for table, columns in _COLUMNS.items():
        now, before, touched = state.now(table), state.before(table), _touched(state, table)
        con.execute(f"drop table {before}")
        con.execute(f"create table {before} ({columns})")
        con.execute(f"insert into {before} select * from {now} {touched}")
        con.execute(f"delete from {now} {touched}")


def begin_copy(con: duckdb.DuckDBPyConnection, state: State, last: State) -> None:
    """Make room in `state`, which is empty, for a night in part that goes on from `last` and leaves that as it is.

    Needs the tables `touched_*` of `state`. Of the customers that the night does not touch only those are taken along
    that new ids must keep clear of.
    """
    for table in _COLUMNS:
        con.execute(f"insert into {state.before(table)} select * from {last.now(table)} {_touched(state, table)}")
    con.execute(f"""
        insert into {state.now("registry")}
        select *
        from {last.now("registry")}
        where
            customer_key not in (from {state.now("touched_customer")})
            and (
                hash(founder_key) in (from {state.now("touched_record")})
                or customer_key = (select max(customer_key) from {last.now("registry")})
            )
    """)


def settled_events(con: duckdb.DuckDBPyConnection, state: State) -> int:
    """How many events of the night stay when it runs again; 0 unless persons were erased since it ran."""
    row = con.execute(
        f"select coalesce(max(seq), 0) from {state.now('settled')} where night = $night", {"night": state.night}
    ).fetchone()
    assert row is not None
    return int(row[0])


def log_night(con: duckdb.DuckDBPyConnection, state: State, summary: NightSummary, *, way: Way) -> None:
    """Write the night's row; a night has one, however often it runs."""
    facts = {name: value for name, value in asdict(summary).items() if name not in ("night", "seconds")}
    con.execute(f"delete from {state.now('night')} where night = $night", {"night": state.night})
    con.execute(
        f"insert into {state.now('night')} values ($night, $fingerprint, $way, $basis, $summary)",
        {
            "night": state.night,
            "fingerprint": state.fingerprint,
            "way": way.value,
            "basis": state.basis,
            "summary": json.dumps(facts, sort_keys=True),
        },
    )


def _upgrade(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    _keep_keys_handed_out(con, schema)
    _keep_what_did_not_join(con, schema)


def _keep_keys_handed_out(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Ids used to be handed out without their keys: those that wait get new ones, theirs may be others' by now."""
    columns = {name for (name,) in con.execute(
        "select column_name from duckdb_columns() where schema_name = $schema and table_name = 'handed_out'",
        {"schema": schema},
    ).fetchall()}  # fmt: skip
    if not columns or "customer_key" in columns:
        return
    con.begin()
    con.execute(f"alter table {schema}.handed_out rename to handed_out_until_now")
    con.execute(f"create table {schema}.handed_out ({_LOGS['handed_out']})")
    con.execute(f"""
        insert into {schema}.handed_out
        select distinct on (one_id) one_id, founder_key, generation, last_key + dense_rank() over (order by one_id)
        from {schema}.handed_out_until_now
        cross join (
            select greatest(max(registry.customer_key), max(before.customer_key), -1) as last_key
            from {schema}.registry as registry
            full join {schema}.registry_before as before using (one_id)
        ) as known
    """)
    con.execute(f"drop table {schema}.handed_out_until_now")
    con.commit()


def _keep_what_did_not_join(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Until 0.1.0's second algorithm `night` said `replaced`, and links were kept without what did not join."""
    is_old = con.execute(
        """
        select 1 from duckdb_columns()
        where schema_name = $schema and table_name = 'night' and column_name = 'replaced'
        """,
        {"schema": schema},
    ).fetchone()
    if not is_old:
        return
    con.begin()
    con.execute(f"alter table {schema}.night rename to night_until_now")
    con.execute(f"create table {schema}.night ({_LOGS['night']})")
    con.execute(f"""
        insert into {schema}.night
        select night, fingerprint, case when replaced then '{Way.WHOLE}' else '{Way.NONE}' end, '', summary
        from {schema}.night_until_now
    """)
    con.execute(f"drop table {schema}.night_until_now")
    for twin in ("", "_before"):
        con.execute(f"create table {schema}.carried{twin} ({_COLUMNS['carried']})")
        con.execute(
            f"insert into {schema}.carried{twin} select key_hash, value_hash, strength, true from {schema}.link{twin}"
        )
        con.execute(f"drop table {schema}.link{twin}")
    con.commit()


def _touched(state: State, table: str) -> str:
    """The condition that picks the rows a night in part replaces."""
    if table not in _TOUCHED:
        return ""
    column, touched = _TOUCHED[table]
    return f"where {column} in (from {state.now(touched)})"


def _summary(text: str, night: date, *, repeated: bool) -> NightSummary:
    facts = json.loads(text)
    if not repeated:
        facts["events"] = {}
    return NightSummary(night=night, **facts)
