"""One night of identity resolution: read the inputs, decide, and write the state in one transaction.

    encode ▸ states ▸ components and limits ▸ reasons ▸ labels ▸ history

The steps live in the modules of their names; here is only their order. What calls this, and when, is not known here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from datetime import date
from time import perf_counter

import duckdb
import numpy as np

from pipelines.identity import history, value_states
from pipelines.identity.causes import find_causes
from pipelines.identity.encode import Records, encode_evidence, encode_records
from pipelines.identity.labels import label_components
from pipelines.identity.limits import Partition, partition
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
    ensure_tables,
    fingerprint_of,
    log_night,
    open_state,
    replace_tables,
    tables_to_read,
)
from pipelines.identity.value_states import Links

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
) -> NightSummary:
    """Give every record of tonight its customer, and log what changed since the night before.

    in:  `identities` (key, kind, first_seen_at, name_norm, birth_date, id_number, is_minor), `evidence` (key,
         value_type, value, tier, position), `blocked` (value_type, value), `overrides` (id, kind, a, b, valid_from,
         revoked_at): names of relations of the connection; further columns are ignored, the order of rows never matters
    out: the tables of `state_schema` (docs/architecture.md), replaced in one transaction; temporary tables `night_*`
         are dropped
    The last night may be run again: it starts from the state before it. Raises IdentityNightError for an earlier night,
    IdentityInputError for unknown or repeated keys and unknown kinds, IdentityOverrideError for contradicting rows.
    The connection must hold no open transaction, and its time zone decides when an operator row is in force.
    """
    watch = _Watch()
    with _temporary_tables(con):
        ensure_tables(con, state_schema)
        with watch.step("fingerprint"):
            given = read_overrides(con, overrides if config.limits else None, night=night)
            fingerprint = _fingerprint(con, config, given, identities, evidence, blocked)
            state = open_state(con, state_schema, night, fingerprint)
        if state.unchanged is not None:
            return _stand_still(con, state, state.unchanged)
        return _resolve(con, state, given, config, identities, evidence, blocked, watch)


def _resolve(
    con: duckdb.DuckDBPyConnection,
    state: State,
    given: Overrides,
    config: IdentityConfig,
    identities: str,
    evidence_relation: str,
    blocked: str,
    watch: "_Watch",
) -> NightSummary:
    with watch.step("encode"):
        store_overrides(con, given)
        records = encode_records(con, identities, assignment=state.before("assignment"))
        evidence = encode_evidence(con, evidence_relation, records)
    with watch.step("states"):
        if config.limits:
            value_states.judge_values(con, blocked, config)
        else:
            value_states.admit_all(con)
        links = value_states.admitted_links(con, evidence, records)
    with watch.step("components and limits"):
        customers = partition(con, links, evidence, records, given, config)
    with watch.step("reasons"):
        links = accepted_links(links, customers, records)
        reasons = standing_reasons(con, links, customers, records)
    with watch.step("labels"):
        customer_key = label_components(
            con,
            customers.component,
            records,
            assignment=state.before("assignment"),
            registry=state.before("registry"),
            night=state.night,
            config=config,
        )
    with watch.step("history"), history.tonight(con, records, customers.component, customer_key, reasons):
        con.begin()
        try:
            summary = _write(con, state, links, customers, records, watch)
        except BaseException:
            con.rollback()
            raise
        con.commit()
    return summary


def _write(
    con: duckdb.DuckDBPyConnection,
    state: State,
    links: Links,
    customers: Partition,
    records: Records,
    watch: "_Watch",
) -> NightSummary:
    replace_tables(con, state)
    before = tables_to_read(state)
    find_causes(con, before, links, customers.component, records)
    history.write_assignment(con, before, records)
    history.write_registry(con, before)
    history.write_events(con, before)
    history.write_states(con, before)
    history.write_conflicts(con, before, customers.conflicts, records)
    history.write_links(con, before, links, records)
    sizes = np.bincount(customers.component, minlength=1)
    summary = NightSummary(
        night=state.night,
        identities=records.count,
        customers=int(np.count_nonzero(sizes)),
        largest=int(sizes.max()),
        conflicts=len(customers.conflicts),
        events=_counts(
            con, f"select event, count(*) from {before.now('event')} where night = $night group by all", state
        ),
        states=_counts(con, f"select state, count(*) from {before.now('value_state')} group by all"),
        seconds=watch.seconds,
    )
    log_night(con, before, summary, replaced=True)
    return summary


def _counts(con: duckdb.DuckDBPyConnection, query: str, state: State | None = None) -> dict[str, int]:
    parameters = {} if state is None else {"night": state.night}
    return dict(sorted(con.execute(query, parameters).fetchall()))


def _stand_still(con: duckdb.DuckDBPyConnection, state: State, summary: NightSummary) -> NightSummary:
    """The same input as last time leaves every table as it is; a new night is still noted."""
    known = con.execute(f"select 1 from {state.now('night')} where night = $night", {"night": state.night}).fetchone()
    if known is None:
        log_night(con, state, summary, replaced=False)
    return summary


def _fingerprint(
    con: duckdb.DuckDBPyConnection,
    config: IdentityConfig,
    given: Overrides,
    identities: str,
    evidence: str,
    blocked: str,
) -> str:
    inputs = [
        (identities, "key, kind, first_seen_at, name_norm, birth_date, id_number, is_minor"),
        (evidence, "key, value_type, value, tier, position"),
        (blocked, "value_type, value"),
    ]
    return fingerprint_of(con, inputs, f"{ALGORITHM_VERSION}|{astuple(config)}|{[astuple(row) for row in given.rows]}")


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


class _Watch:
    """Seconds per step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] = perf_counter() - start
