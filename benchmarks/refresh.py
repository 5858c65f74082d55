"""How long a new fan who proves a phone waits to be a known customer: `cdp identity refresh`, step by step.

    python -m benchmarks.refresh [--customers 100000]
    python -m benchmarks.refresh --directory DIR/1000000   # what `benchmarks.nightly --directory DIR --keep` left

The day after the last night, at noon, a fan arrives on a patient's phone, twice; after each the customers are
refreshed. Nothing else arrives, so this is what a refresh costs at least.
"""

import argparse
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.nightly import END_ON
from pipelines.nightly import RunRecord, run_night
from pipelines.refresh import refresh
from pipelines.sample.generate import write_sample
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import seal
from pipelines.warehouse.publish import current_pointer
from segment_engine.runtime.published import open_current

out = Console(width=120)


class _At:
    """A clock that stands."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


def main() -> None:
    """Measure two refreshes of one day."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=100_000, help="of a sample made for this")
    parser.add_argument("--directory", type=Path, help="published data to go on from instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdp-benchmark-") as folder:
        settings = PipelineSettings(data_dir=arguments.directory or Path(folder))
        if arguments.directory is None:
            _publish_sample(settings, arguments.customers)
        _measure(settings)


def _publish_sample(settings: PipelineSettings, customers: int) -> None:
    write_sample(
        settings.folders, customers=customers, days=400, seed=7, end_on=END_ON, dirty=False, zone=settings.zone
    )
    after = datetime.combine(END_ON + timedelta(days=1), datetime.min.time(), settings.zone)
    run_night(settings, as_of=END_ON, clock=_At(after))


def _measure(settings: PipelineSettings) -> None:
    served = current_pointer(settings.folders)
    assert served is not None, "nothing is published in this directory"
    day = datetime.combine(served.as_of + timedelta(days=1), datetime.min.time(), settings.zone)
    table = Table("step", "first refresh s", "second refresh s", title=f"the day after {served.as_of}")
    records = []
    for arrival in ("first", "second"):
        phone, one_id = _somebody(settings)
        fan = f"fan-{day:%Y%m%d}-{arrival}"
        _arrive(settings, day, fan=fan, phone=phone)
        start = time.perf_counter()
        records.append((refresh(settings, clock=_At(day + timedelta(hours=12))), time.perf_counter() - start))
        assert _customer_of(settings, fan) == one_id
    for steps in zip(*(record.steps for record, _ in records), strict=True):
        table.add_row(steps[0]["name"], *(f"{step['seconds']:.1f}" for step in steps))
    table.add_section()
    table.add_row("from the arrival to the published customer", *(f"{seconds:.1f}" for _, seconds in records))
    out.print(table)
    out.print(f"customers {_customers(records[-1][0]):,}; peak memory {records[-1][0].peak_memory_mib:,} MiB")


def _customers(record: RunRecord) -> int:
    return next(int(step["facts"]["customers"]) for step in record.steps if step["name"] == "identity")


def _arrive(settings: PipelineSettings, day: datetime, *, fan: str, phone: str) -> None:
    at = (day + timedelta(hours=9)).isoformat()
    account = {"app_id": "wx-oa", "openid": fan, "updated_at": at}
    rows = {
        "fans": {**account, "is_subscribed": True, "subscribed_at": at},
        "fan_bindings": {**account, "binding_id": f"b-{fan}", "phone": phone, "relation": "本人", "bound_at": at},
    }
    for table, row in rows.items():
        folder = settings.folders.landing / "official_account" / table / fan
        folder.mkdir(parents=True)
        (folder / "part-1.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
        seal(
            folder,
            source="official_account",
            table=table,
            batch_id=fan,
            window_from=day,
            window_to=day + timedelta(days=1),
        )


def _somebody(settings: PipelineSettings) -> tuple[str, str]:
    """The phone of a patient who shares it with nobody and follows no account, and the customer."""
    with open_current(settings.folders, timezone=settings.zone.key)[0] as con:
        row = con.execute("""
            select phone, min(one_id)
            from marts.dim_customer
            where length(phone) = 11
            group by phone
            having count(*) = 1 and bool_and(has_patient_file and not is_fan)
            order by min(one_id)
            limit 1
        """).fetchone()
    assert row is not None
    return row[0], row[1]


def _customer_of(settings: PipelineSettings, source_id: str) -> str | None:
    with open_current(settings.folders, timezone=settings.zone.key)[0] as con:
        row = con.execute("select one_id from marts.dim_identity where source_id = $id", {"id": source_id}).fetchone()
    return row[0] if row else None


if __name__ == "__main__":
    main()
