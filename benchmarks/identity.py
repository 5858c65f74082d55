"""How long a night of identity resolution takes, step by step, beside scipy's components over the same links.

    python benchmarks/identity.py 2500000        # about a million persons
    python benchmarks/identity.py 250000 --changed 0.01 --threads 2
    python benchmarks/identity.py --truth 20000  # instead: how right the customers of sample data are

The generator writes believable chains (families on one phone, front desks, recycled numbers, duplicate files, WeChat
identities with and without unionid) with DuckDB alone; it is deterministic. How right the customers are is told by
`identity_truth.py`, on the sample data, whose truth is known.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter

import duckdb
import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components as scipy_components

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.identity_truth import compare_with_truth  # noqa: E402
from pipelines.identity.components import connected_components  # noqa: E402
from pipelines.identity.frames import fetch_ints, one_row  # noqa: E402
from pipelines.identity.resolve import IdentityConfig, NightSummary, resolve_night  # noqa: E402
from pipelines.identity.touched import PART_AT_MOST  # noqa: E402
from pipelines.identity.watch import Watch  # noqa: E402

IDENTITIES_PER_PERSON = 2.4
NIGHT = date(2026, 11, 20)

# Per kind: how many of a hundred persons have one, its key, and whether it states a name.
_IDENTITIES = {
    "patient": (70, "'patient:saas:P' || person", "name_norm"),
    "second patient": (10, "'patient:saas:Q' || person", "name_norm"),
    "official_account_fan": (50, "'official_account_fan:wx1:o' || md5('f' || person)", "null"),
    "wecom_contact": (45, "'wecom_contact:corp1:w' || md5('w' || person)", "null"),
    "mini_program_user": (35, "'mini_program_user:wx2:o' || md5('m' || person)", "null"),
    "lead": (30, "'lead:leads:L' || person", "null"),
}
# Per kind: value type, how many of ten carry it, tier.
_EVIDENCE = [
    ("patient", "phone", 10, 3),
    ("official_account_fan", "unionid", 8, 2),
    ("official_account_fan", "phone", 3, 3),
    ("wecom_contact", "unionid", 7, 2),
    ("wecom_contact", "phone", 5, 4),
    ("mini_program_user", "unionid", 9, 2),
    ("mini_program_user", "phone", 8, 3),
    ("lead", "phone", 10, 5),
]


def generate(con: duckdb.DuckDBPyConnection, identities: int) -> None:
    """Write `identity`, `evidence` and `blocked` with about `identities` rows in the first."""
    persons = round(identities / IDENTITIES_PER_PERSON)
    con.execute(
        """
        create or replace table person as
        with
        drawn as (
            select
                person,
                -- One person of six is a child, on the phone of the person before.
                person % 6 = 5 as is_child,
                hash(person, 'phone') % 1000 as luck,
                date '1950-01-01' + (hash(person, 'birth') % 20000)::integer as birth_date,
                '王李张刘陈'[1 + (hash(person, 'surname') % 5)::integer]
                || chr((19968 + hash(person, 'a') % 3000)::integer)
                || chr((19968 + hash(person, 'b') % 3000)::integer) as name_norm,
                timestamptz '2024-01-01 00:00:00+08'
                + to_seconds((hash(person, 't') % 80000000)::bigint) as first_seen_at
            from range($persons) as people (person)
        )
        select
            *,
            '+861' || case
                when is_child then 3000000000 + person - 1
                when luck < 5 then 3000000000 + person * 7 % $persons  -- a recycled number
                when luck = 5 then 8700000000 + person % 50            -- the front desk's
                else 3000000000 + person
            end as phone,
            'o' || md5('u' || person) as unionid
        from drawn
        """,
        {"persons": persons},
    )
    identity = " union all ".join(
        f"""
        select
            {key} as key, '{kind.removeprefix("second ")}' as kind,
            first_seen_at + to_seconds((hash(person, '{kind}', 't') % 9000000)::bigint) as first_seen_at,
            {name} as name_norm,
            if({name} is null, null, birth_date) as birth_date, null::varchar as id_number,
            is_child and {name} is not null as is_minor, person
        from person
        where hash(person, '{kind}') % 100 < {share}
        """
        for kind, (share, key, name) in _IDENTITIES.items()
    )
    con.execute(f"create or replace table identity as {identity}")
    evidence = " union all ".join(
        f"""
        select key, '{value_type}' as value_type, {value_type} as value, {tier} as tier, 0 as position
        from identity inner join person using (person)
        where kind = '{kind}' and hash(key, '{value_type}') % 10 < {share}
        """
        for kind, value_type, share, tier in _EVIDENCE
    )
    con.execute(f"create or replace table evidence as {evidence}")
    con.execute("create or replace table blocked (value_type varchar, value varchar, reason varchar)")


def change(con: duckdb.DuckDBPyConnection, share: float) -> None:
    """Give that share of the evidence another value of its kind."""
    con.execute(
        """
        update evidence set value = shuffled.value
        from (
            select key, value_type, lead(value) over (partition by value_type order by hash(key)) as value
            from evidence
            where hash(key, value, 'changed') % 1000000 < $share * 1000000
        ) as shuffled
        where evidence.key = shuffled.key and evidence.value_type = shuffled.value_type and shuffled.value is not null
        """,
        {"share": share},
    )


def add_links(con: duckdb.DuckDBPyConnection, share: float) -> None:
    """Let as many fans without a phone prove their person's, as that share of the evidence."""
    con.execute(
        """
        insert into evidence
        select key, 'phone', phone, 3, 1
        from identity
        inner join person using (person)
        where kind = 'official_account_fan' and key not in (select key from evidence where value_type = 'phone')
        order by hash(key, 'added')
        limit (select ($share * count(*))::bigint from evidence)
        """,
        {"share": share},
    )


class PeakWatch(Watch):
    """Also the peak of the process's memory in each step, MiB; Linux only."""

    def __init__(self) -> None:
        super().__init__()
        self.peak: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")
        with super().step(name):
            yield
        self.peak[name] = max(self.peak.get(name, 0), _high_water_mark())


def _high_water_mark() -> float:
    """The peak of the process's resident memory since it was last reset, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@dataclass(frozen=True, slots=True)
class Night:
    """A night that ran: seconds of all of it and, by step, seconds and peak memory (MiB)."""

    summary: NightSummary
    total: float
    seconds: dict[str, float]
    peak: dict[str, float]


def run_night(con: duckdb.DuckDBPyConnection, night: date, *, part_at_most: float = PART_AT_MOST) -> Night:
    """Resolve one night. What was written before it is on the disk, as a pipeline leaves it."""
    con.execute("checkpoint")
    watch, start = PeakWatch(), perf_counter()
    summary = resolve_night(
        con,
        night=night,
        config=IdentityConfig(),
        identities="identity",
        evidence="evidence",
        blocked="blocked",
        part_at_most=part_at_most,
        watch=watch,
    )
    return Night(summary, perf_counter() - start, watch.seconds, watch.peak)


def compare_components(con: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Seconds to read and encode the text, and for components of every record-value link, scipy's and ours."""
    start = perf_counter()
    left, right = fetch_ints(
        con,
        """
        with
        records as (select key, (row_number() over () - 1)::integer as record from identity),
        vals as (
            select value_type, value, (row_number() over () - 1)::integer as val
            from (select distinct value_type, value from evidence)
        )
        select record, val from evidence inner join records using (key) inner join vals using (value_type, value)
        """,
    )
    read = perf_counter() - start
    right = (right + left.max() + 1).astype(np.int32)
    count = int(right.max()) + 1
    start = perf_counter()
    graph = scipy.sparse.coo_matrix((np.ones(left.size, dtype=np.int8), (left, right)), shape=(count, count))
    customers, theirs = scipy_components(graph, directed=False)
    scipy_seconds = perf_counter() - start
    start = perf_counter()
    ours = connected_components(left.astype(np.int64), right.astype(np.int64), count=count)
    own_seconds = perf_counter() - start
    assert np.count_nonzero(ours == np.arange(count)) == customers
    assert np.array_equal(theirs, theirs[ours])
    return {"read + encode text": read, "scipy components": scipy_seconds, "our components": own_seconds}


def main() -> None:
    """Run five nights and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("identities", type=int, nargs="?", default=250_000)
    parser.add_argument(
        "--changed", type=float, default=0.01, help="evidence that comes for the third night, changes for the fourth"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--truth", type=int, metavar="PERSONS", help="compare a sample's customers with the truth")
    arguments = parser.parse_args()
    if arguments.truth:
        compare_with_truth(arguments.truth)
        return
    with tempfile.TemporaryDirectory() as folder:
        con = duckdb.connect(str(Path(folder) / "warehouse.duckdb"))
        con.execute(f"set threads = {arguments.threads}; set memory_limit = '{arguments.memory}'")
        con.execute("set TimeZone = 'Asia/Shanghai'")
        generate(con, arguments.identities)
        rows = one_row(con, "select (select count(*) from identity), (select count(*) from evidence)")
        print(f"identities {rows[0]:,}   evidence {rows[1]:,}   threads {arguments.threads}")
        floors = [compare_components(con)]
        nights = {"first night": run_night(con, NIGHT), "same input": run_night(con, NIGHT + timedelta(days=1))}
        floors.append(compare_components(con))
        for name, alter in (("links", add_links), ("changed", change)):
            alter(con, arguments.changed)
            night = NIGHT + timedelta(days=len(nights))
            nights[f"{arguments.changed:.0%} {name}"] = run_night(con, night)
        add_links(con, arguments.changed)
        night = NIGHT + timedelta(days=len(nights))
        nights["of everybody"] = run_night(con, night, part_at_most=0)
        floors.append(compare_components(con))
    _print_steps(nights)
    _print_multiples(nights, floors)


def _print_steps(nights: dict[str, Night]) -> None:
    first = nights["first night"]
    print(f"\n{'seconds':<24}" + "".join(f"{name:>16}" for name in nights) + f"{'first, peak MiB':>18}")
    for step in first.seconds:
        seconds = "".join(f"{night.seconds.get(step, 0):>16.2f}" for night in nights.values())
        print(f"{step:<24}{seconds}{first.peak[step]:>18,.0f}")
    peak = max(max(night.peak.values()) for night in nights.values())
    print(f"{'total':<24}" + "".join(f"{night.total:>16.2f}" for night in nights.values()) + f"{peak:>18,.0f}")
    for name, night in nights.items():
        summary = night.summary
        print(
            f"{name}: customers {summary.customers:,}, largest {summary.largest}, conflicts {summary.conflicts:,}, "
            f"events {dict(summary.events)}, states {dict(summary.states)}"
        )


def _print_multiples(nights: dict[str, Night], floors: list[dict[str, float]]) -> None:
    """The machine is not equally fast all the time: 1x is the median of three runs among the nights."""
    median = {name: statistics.median(floor[name] for floor in floors) for name in floors[0]}
    floor = median["read + encode text"] + median["scipy components"]
    each = ", ".join(f"{each['read + encode text'] + each['scipy components']:.2f}" for each in floors)
    print(f"\nover every record-value link (1.00x = read + encode text, scipy: {floor:.2f} s, median of {each})")
    for name, seconds in {**median, **{name: night.total for name, night in nights.items()}}.items():
        print(f"  {name:<22}{seconds / floor:>8.2f}x")
    first, last = nights["first night"], nights["of everybody"]
    log = first.seconds["history"]
    print(f"  the first night without the step history: {(first.total - log) / floor:.2f}x")
    for name, night in list(nights.items())[2:-1]:
        shares = f"{night.total / first.total:.0%} of the first, {night.total / last.total:.0%} of the last"
        print(f"  {name}: {shares} night of everybody")


if __name__ == "__main__":
    main()
