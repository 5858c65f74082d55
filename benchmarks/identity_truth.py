"""OneID against the truth of the sample data: which pairs of records it gets right, beside the naive rule.

Run by `benchmarks/identity.py --truth`. How long a night takes is measured there.
"""

import tempfile
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
import numpy as np

from pipelines.identity.components import connected_components
from pipelines.nightly import run_night
from pipelines.sample.generate import TRUTH_FOLDER, write_sample
from pipelines.settings import PipelineSettings
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer

DAYS, SEED, END_ON = 60, 7, date(2026, 11, 20)
NAIVE, EVERY_TIE, OURS = "same phone or unionid", "every tie, no limits", "the night's customers"


class _Morning:
    """A clock that stands in the morning after the sample's last day."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._now = datetime.combine(END_ON + timedelta(days=1), time(0, 30), settings.zone)

    def now(self) -> datetime:
        return self._now


def compare_with_truth(persons: int) -> None:
    """Make a sample of so many persons, run its night, and print how right each way of telling customers is."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        settings = PipelineSettings(data_dir=Path(folder))
        write_sample(
            settings.folders, customers=persons, days=DAYS, seed=SEED, end_on=END_ON, dirty=False, zone=settings.zone
        )
        record = run_night(settings, as_of=END_ON, clock=_Morning(settings))
        assert record.status == "succeeded", record.status
        _load(con, settings.folders)
        _add_components(con, NAIVE, "value_type in ('phone', 'unionid')")
        _add_components(con, EVERY_TIE, "true")
        _print_scores(con)
        ((mixed,),) = con.execute("select files_mixed from score where way = $way", {"way": OURS}).fetchall()
    assert mixed == 0, f"{mixed} customers hold two persons' patient files"


def _load(con: duckdb.DuckDBPyConnection, folders: DataFolders) -> None:
    """Write `truth` (one row per record that the night saw), `evidence`, and our rows of `customer`."""
    con.execute(f"attach '{folders.published / read_pointer(folders).file}' as published (read_only)")
    con.execute(f"attach '{folders.warehouse}' as warehouse (read_only)")
    con.execute(
        """
        create table customer as
        select $way as way, identity_key as key, customer_key::bigint as customer
        from published.marts.dim_identity
        where is_present
        """,
        {"way": OURS},
    )
    con.execute(
        "create table evidence as select key, value_type, value from warehouse.intermediate.int_identity_evidence"
    )
    con.execute(
        "create table truth as select * from read_parquet($file) semi join customer using (key)",
        {"file": str(folders.root / TRUTH_FOLDER / "truth.parquet")},
    )
    strangers = con.execute("select key from customer anti join truth using (key)").fetchall()
    assert not strangers, f"the truth is not known of {strangers[:5]}"


def _add_components(con: duckdb.DuckDBPyConnection, way: str, which: str) -> None:
    """Add customers that are plain components over some of the evidence."""
    con.execute(
        """
        create or replace temp table record as select key, row_number() over (order by key) - 1 as record from truth;
        create or replace temp table link as
        select record, dense_rank() over (order by value_type, value) - 1 as value
        from evidence
        inner join record using (key)
        where """
        + which
    )
    links = con.execute("select * from link").fetchnumpy()
    ((count,),) = con.execute("select count(*) from record").fetchall()
    record, value = links["record"].astype(np.int64), links["value"].astype(np.int64) + count
    label = connected_components(record, value, count=int(value.max()) + 1)
    con.register("label", {"record": np.arange(count), "customer": label[:count]})
    con.execute(
        "insert into customer select $way, key, customer from record inner join label using (record)", {"way": way}
    )


def _print_scores(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(_SCORE)
    ((persons, records, pairs),) = con.execute(
        "select count(distinct person_id), count(*), (select sum(n * (n - 1) / 2) from person) from truth"
    ).fetchall()
    print(f"{records:,} records of {persons:,} persons, {pairs:,.0f} true pairs\n")
    heads = ["precision", "guardians", "recall", "customers", "largest", "mixed"]
    print(f"{'customers by':<24}" + "".join(f"{head:>11}" for head in heads))
    rows = con.execute("select * from score order by files_mixed desc, found desc").fetchall()
    for way, customers, largest, mixed, found, right, intended in rows:
        print(
            f"{way:<24}{right / found:>11.4f}{(right + intended) / found:>11.4f}{right / pairs:>11.4f}"
            f"{customers:>11,}{largest:>11,}{mixed:>11,}"
        )
    print(
        "\nprecision: of the pairs found, those of one person; guardians: a parent's account beside the child's file\n"
        "counted as right, which the product intends where the parent is no patient; recall: of the true pairs, those\n"
        "found; mixed: customers that hold patient files of two and more persons"
    )


# A pair is two records of one customer; pairs are counted by the sizes of groups, never listed, but for those of a
# family, in which an account may rightly stand for a child.
_SCORE = """
    create table person as select person_id, count(*) as n from truth group by person_id;
    create table score as
    with
    placed as (select * from customer inner join truth using (key)),
    sizes as (
        select way, customer, count(*) as n, count(distinct person_id) filter (where kind = 'patient') as file_persons
        from placed
        group by way, customer
    ),
    found as (
        select
            way, count(*) as customers, max(n) as largest, count(*) filter (where file_persons > 1) as files_mixed,
            sum(n * (n - 1) / 2) as found
        from sizes
        group by way
    ),
    by_person as (select way, count(*) as n from placed group by way, customer, person_id),
    rights as (select way, sum(n * (n - 1) / 2) as right from by_person group by way),
    -- Every pair of a family in which exactly one side is the account of a guardian, and the other a file.
    guards as (
        select account.way, count(*) as intended
        from placed as account
        inner join placed as file using (way, customer, household_id)
        where
            account.is_guardian_contact
            and file.kind = 'patient'
            and account.person_id <> file.person_id
        group by account.way
    )
    select way, customers, largest, files_mixed, found, rights.right, coalesce(intended, 0) as intended
    from found
    inner join rights using (way)
    left join guards using (way)
"""
