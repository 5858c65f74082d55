"""What operator rows would change, found without changing anything: a dry run of the next night, twice.

The state of the last night lies in another file and is only read; the customers that the rows can reach are resolved
in the memory of the connection, by the steps of a night in part: once with the rows that stand, once with those that
are proposed. The answer is how the two differ, so what stands but no night has applied yet is not told as their doing.
Which rows stand, and opening the file, belong to `pipelines.warehouse.preview`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, NamedTuple

import duckdb

from pipelines.identity.digests import take_input_of
from pipelines.identity.model import IdentityConfig, IdentityNightError
from pipelines.identity.overrides import Override, Overrides, refuse_contradictions, store_overrides
from pipelines.identity.resolve import basis_of, run_steps
from pipelines.identity.state import State, begin_copy, ensure_tables, last_basis
from pipelines.identity.touched import reach
from pipelines.identity.watch import Watch

# No schema of a warehouse: its tables are looked for by this name alone.
_SCHEMA: Final = "identity_preview"


class Event(NamedTuple):
    """One event of the log, as `history.py` tells it, without its place."""

    event: str
    key: str | None
    from_id: str | None
    to_id: str | None
    cause_value_type: str | None
    cause_value_masked: str | None
    via_key: str | None
    override_id: str | None


class Refused(NamedTuple):
    """One refused link, as the table `conflict` has it, without the night since which it stands."""

    value_type: str
    value_masked: str
    tier: int
    left_key: str
    right_key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What would be logged with the proposed rows and is not without them, and the other way round; conflicts alike.

    Events in the order of the log, conflicts in order of their columns.
    """

    events: Sequence[Event] = ()
    events_gone: Sequence[Event] = ()
    conflicts: Sequence[Refused] = ()
    conflicts_gone: Sequence[Refused] = ()


@dataclass(frozen=True, slots=True)
class LastNight:
    """Where the last night's state and inputs lie: a schema and relations of an attached file."""

    schema: str
    identities: str
    evidence: str
    blocked: str


def preview(
    con: duckdb.DuckDBPyConnection,
    last_night: LastNight,
    *,
    night: date,
    config: IdentityConfig,
    standing: Sequence[Override],
    proposed: Sequence[Override],
) -> Difference:
    """How a night with the rows `proposed` would differ from one with the rows `standing`, the inputs being the same.

    `night` names the night that would log it. Writes into the connection's own schema and temporary tables only.
    Raises IdentityOverrideError for contradicting rows, and IdentityNightError when the last state is not of this
    program and these thresholds: the next night resolves everybody then, and nobody can tell apart whose doing it is.
    """
    both = [Overrides(tuple(sorted(rows))) for rows in (standing, proposed)]
    for given in both:
        refuse_contradictions(given)
    basis = basis_of(config)
    state = State(
        _SCHEMA, night, fingerprint="", basis=basis, repeated=None, unchanged=None, log_schema=last_night.schema
    )
    last = replace(state, schema=last_night.schema)
    if last_basis(con, last) != basis:
        raise IdentityNightError(
            "night_needed",
            "上次处理之后程序、阈值或身份数据有变化,请先运行一次夜间任务",
            "the program, the thresholds or who is known changed since the last night: run a night first",
        )
    take_input_of(con, last, last_night.evidence)
    without, with_them = (_dry_run(con, state, last, last_night, given, config) for given in both)
    return _difference(without, with_them)


class _Outcome(NamedTuple):
    """What a dry run logs, and the conflicts of those it touches: after it, and before."""

    events: list[Event]
    now: "Counter[Refused]"
    before: "Counter[Refused]"


def _dry_run(
    con: duckdb.DuckDBPyConnection,
    state: State,
    last: State,
    last_night: LastNight,
    given: Overrides,
    config: IdentityConfig,
) -> _Outcome:
    con.execute(f"drop schema if exists {_SCHEMA} cascade")
    ensure_tables(con, _SCHEMA)
    store_overrides(con, given)
    inputs = reach(con, state, given, last_night.identities, last_night.evidence, last=last)
    begin_copy(con, state, last)
    run_steps(con, state, given, config, inputs, last_night.blocked, Watch())
    events = con.execute(f"select {', '.join(Event._fields)} from {state.now('event')} order by seq").fetchall()
    return _Outcome(
        [Event(*row) for row in events],
        _conflicts(con, state.now("conflict")),
        _conflicts(con, state.before("conflict")),
    )


def _conflicts(con: duckdb.DuckDBPyConnection, table: str) -> "Counter[Refused]":
    return Counter(Refused(*row) for row in con.execute(f"select {', '.join(Refused._fields)} from {table}").fetchall())


def _difference(without: _Outcome, with_them: _Outcome) -> Difference:
    # What one of the two touches and the other does not stays there as it is.
    last = without.before | with_them.before
    alone, proposed = (run.now + (last - run.before) for run in (without, with_them))
    return Difference(
        events=_beyond(with_them.events, without.events),
        events_gone=_beyond(without.events, with_them.events),
        conflicts=_ordered(proposed - alone),
        conflicts_gone=_ordered(alone - proposed),
    )


def _beyond(events: list[Event], others: list[Event]) -> list[Event]:
    there = set(others)
    return [event for event in events if event not in there]


def _ordered(conflicts: "Counter[Refused]") -> list[Refused]:
    def place(refused: Refused) -> tuple[Any, ...]:
        return tuple((cell is not None, cell) for cell in refused)

    return sorted(conflicts.elements(), key=place)
