"""Sealing folders that people drop into landing: their place names source, table and batch."""

from datetime import date, datetime, time, timedelta
from pathlib import Path

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import seal


def seal_dropped_folder(
    settings: PipelineSettings, folder: Path, *, first_day: date, last_day: date, today: date
) -> int:
    """Write the manifest of `landing/<source>/<table>/<batch_id>` and return its rows; days are inclusive, tenant zone.

    Raises ValueError with a sentence for the person who typed it when the place, table or days are wrong.
    The last day may be today: files that lie here cannot cover a day that has not begun.
    """
    landing = settings.folders.landing.resolve()
    place = folder.resolve()
    if not place.is_dir() or place.parent.parent.parent != landing:
        raise ValueError(f"{folder} is not a folder {landing}/<source>/<table>/<batch_id> / 目录位置不对")
    source, table, batch_id = place.parts[-3:]
    contract = load_contracts().get((source, table))
    if contract is None:
        known = ", ".join(sorted(f"{known.source}/{known.table}" for known in load_contracts().values()))
        raise ValueError(f"no contract for {source}/{table} / 没有该表的契约; known: {known}")
    if last_day < first_day:
        raise ValueError(f"--to {last_day} lies before --from {first_day} / 截止日早于起始日")
    if last_day > today:
        raise ValueError(
            f"--to {last_day} lies in the future, today is {today} in {settings.timezone} / "
            f"截止日 {last_day} 是未来的日期({settings.timezone} 今天是 {today})"
        )
    manifest = seal(
        place,
        source=source,
        table=table,
        batch_id=batch_id,
        window_from=datetime.combine(first_day, time.min, settings.zone),
        window_to=datetime.combine(last_day + timedelta(days=1), time.min, settings.zone),
        schema_version=contract.schema_version,
    )
    return manifest.row_count
