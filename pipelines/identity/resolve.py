"""One night of identity resolution: read the inputs, decide, and write the state in one transaction.

    what changed ▸ encode ▸ states ▸ components ▸ limits ▸ reasons ▸ labels ▸ assignment ▸ history

The steps live in the modules of their names; here is only their order. What calls this, and when, is not known here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from datetime import date

import duckdb
import numpy as np

from pipelines.identity import history, touched, value_states
from pipelines.identity.causes import find_causes
from pipelines.identity.digests import digest_inputs
from pipelines.identity.encode import encode_evidence, encode_records
from pipelines.identity.frames import fetch_ints, one_row, registered
from pipelines.identity.handed_out import register_handed_out
from pipelines.identity.labels import label_components, tonights_registry
from pipelines.identity.limits import join_freely, partition
from pipelines.identity.model import (
    ALGORITHM_VERSION,
    IdentityConfig,
    IdentityError,
    IdentityInputError,
    IdentityNightError,
    IdentityOverrideError,
    NightSummary,
)
from pipelines.identity.overrides import Overrides, read_overrides, store_overrides
from pipelines.identity.reasons import accepted_links, standing_reasons
from pipelines.identity.state import (
    State,
    Way,
    begin_part,
    begin_whole,
    ensure_tables,
    log_night,
    open_state,
    take_back,
)
from pipelines.identity.watch import Watch

__all__ = [
    "IdentityConfig",
    "IdentityError",
    "IdentityInputError",
    "IdentityNightError",
    "IdentityOverrideError",
    "NightSummary",
    "resolve_night",
]


def resolve_night(
    con: duckdb.DuckDBPyConnection,
    *,
    night: date,
    config: IdentityConfig,
    identities: str,
    evidence: str,
    blocked: str,
    overrides: str | None = None,
    state_schema: str = "identity",
    part_at_most: float = touched.PART_AT_MOST,
    watch: Watch | None = None,
) -> NightSummary:
    """Give every record of tonight its customer, and log what changed since the night before.

    in:  `identities` (key, kind, first_seen_at, name_norm, birth_date, id_number, is_minor), `evidence` (key,
         value_type, value, tier, position), `blocked` (value_type, value), `overrides` (id, kind, a, b, valid_from,
         revoked_at): names of relations of the connection; further columns are ignored, the order of rows never matters
    out: the tables of `state_schema` (docs/architecture.md) in one transaction; temporary tables `night_*` are dropped
    Where less than the share `part_at_most` of the records changed, only the customers that the changes can reach are
    resolved; the tables are the same, but for the order of their rows.
    The last night may be run again: it is taken back first, but for the ids it gave out, which keep leading to their
    customers. Raises IdentityNightError for an earlier night,
    IdentityInputError for unknown or repeated keys and unknown kinds, IdentityOverrideError for contradicting rows.
    The connection must hold no open transaction, and its time zone decides when an operator row is in force.
    """
    watch = watch or Watch()
    with _unordered_inserts(con), _temporary_tables(con):
        ensure_tables(con, state_schema)
        with watch.step("what changed"):
            given = read_overrides(con, overrides if config.limits else None, night=night)
            store_overrides(con, given)
            digest = digest_inputs(con, identities, evidence, blocked)
            basis = basis_of(config)
            fingerprint = f"{basis}|{[astuple(row) for row in given.rows]}|{digest}"
            state = open_state(con, state_schema, night, fingerprint=fingerprint, basis=basis)
        if state.unchanged is not None:
            return _stand_still(con, state, state.unchanged)
        with _transaction(con):
            take_back(con, state)
        with _transaction(con):
            with watch.step("what changed"):
                part = touched.find_touched(con, state, given, identities, evidence, part_at_most)
                (begin_whole if part is None else begin_part)(con, state)
            inputs = part or touched.everybody(identities, evidence)
            run_steps(con, state, given, config, inputs, blocked, watch)
            if inputs.is_part:
                touched.note_new_customers(con, state)
            way = Way.WHOLE if part is None else Way.PART
            register_handed_out(con, state, way=way)
            summary = _summary(con, state, watch)
            log_night(con, state, summary, way=way)
        return summary


def basis_of(config: IdentityConfig) -> str:
    """What makes digests of two nights comparable: they were made by the same program under the same thresholds."""
    return f"{duckdb.__version__}|{ALGORITHM_VERSION}|{astuple(config)}"


def run_steps(
    con: duckdb.DuckDBPyConnection,
    state: State,
    given: Overrides,
    config: IdentityConfig,
    inputs: touched.Inputs,
    blocked: str,
    watch: Watch,
) -> None:
    """Resolve `inputs` and write the tables of `state`, for which room was made; needs the tables of `digests.py`."""
    with watch.step("encode"):
        records = encode_records(con, inputs.identities, assignment=state.before("assignment"))
        evidence = encode_evidence(con, inputs.evidence, inputs.hashes, records)
        # The largest of tonight's tables, and needed no more.
        con.execute(f"drop table {inputs.hashes}")
    with watch.step("states"):
        if config.limits:
            value_states.judge_values(con, blocked, config)
        else:
            value_states.admit_all(con)
        if inputs.is_part:
            touched.forget_context(con)
        links = value_states.admitted_links(con, evidence, records)
    with watch.step("components"):
        joined = join_freely(con, links, records, given)
    with watch.step("limits"):
        customers = partition(con, joined, links, evidence, records, given, config)
    with watch.step("reasons"):
        links = accepted_links(links, customers, records)
        reasons = standing_reasons(con, links, customers, records)
    with watch.step("labels"):
        customer_key = label_components(con, state, customers.component, records, config=config, is_part=inputs.is_part)
    registry = tonights_registry(state, is_part=inputs.is_part)
    with watch.step("assignment"):
        tonight = history.tonight(con, records, customers.component, customer_key, reasons, registry=registry)
    with registered(con, "night_assignment", tonight):
        with watch.step("assignment"):
            history.write_assignment(con, state, records)
        with watch.step("history"):
            find_causes(con, state, links, customers.component, records)
            history.write_events(con, state, registry=registry)
            history.write_states(con, state)
            history.write_conflicts(con, state, customers.conflicts, records)
            history.write_seen(con, state, evidence, links, customers.unlimited, customer_key, records)


def _summary(con: duckdb.DuckDBPyConnection, state: State, watch: Watch) -> NightSummary:
    # Counted here: two numbers of ten million groups are not worth a hash table.
    (customer_key,) = fetch_ints(con, f"select customer_key from {state.now('assignment')} where present")
    sizes = np.bincount(customer_key)
    (conflicts,) = one_row(con, f"select count(*) from {state.now('conflict')}")
    return NightSummary(
        night=state.night,
        identities=customer_key.size,
        customers=int(np.count_nonzero(sizes)),
        largest=int(sizes.max(initial=0)),
        conflicts=conflicts,
        events=_counts(
            con, f"select event, count(*) from {state.now('event')} where night = $night group by all", state
        ),
        states=_counts(con, f"select state, count(*) from {state.now('value_state')} group by all"),
        seconds=watch.seconds,
    )


def _counts(con: duckdb.DuckDBPyConnection, query: str, state: State | None = None) -> dict[str, int]:
    parameters = {} if state is None else {"night": state.night}
    return dict(sorted(con.execute(query, parameters).fetchall()))


def _stand_still(con: duckdb.DuckDBPyConnection, state: State, summary: NightSummary) -> NightSummary:
    """The same input as last time leaves every table as it is; a new night is still noted."""
    known = con.execute(f"select 1 from {state.now('night')} where night = $night", {"night": state.night}).fetchone()
    if known is None:
        log_night(con, state, summary, way=Way.NONE)
    return summary


@contextmanager
def _unordered_inserts(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Insert without keeping the order of arrival.

    With it, DuckDB 2.0 loses the row groups that a transaction inserts into a table into which it inserted nothing
    before.
    """
    row = con.execute("select current_setting('preserve_insertion_order')").fetchone()
    assert row is not None
    con.execute("set preserve_insertion_order = false")
    try:
        yield
    finally:
        con.execute("set preserve_insertion_order = $before", {"before": row[0]})


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.begin()
    try:
        yield
    except BaseException:
        con.rollback()
        raise
    con.commit()


@contextmanager
def _temporary_tables(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Drop this night's temporary tables, whatever happens."""
    try:
        yield
    finally:
        tables = con.execute("""
            select table_name from duckdb_tables() where temporary and starts_with(table_name, 'night_')
        """).fetchall()
        for (table,) in tables:
            con.execute(f"drop table if exists temp.{table}")
