"""The sample as a whole: same arguments, same bytes; sealed batches; several processes; what is refused."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from pipelines.sample import shard
from pipelines.sample.contracts import contracts
from pipelines.sample.generate import SampleInTheWayError, write_sample
from segment_engine.runtime.folders import DataFolders

from .conftest import DAYS, END_ON, SHANGHAI, Landed

Make = Callable[..., Landed]


def digests(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_arguments_give_the_same_bytes(dirty: Landed, make: Make):
    again = make(dirty=True)

    assert digests(again.root) == digests(dirty.root)


def test_another_seed_gives_other_patients(small: Landed, make: Make):
    other = make(seed=8)

    names = [landed.rows("saas/patients")["name"].to_list() for landed in (small, other)]
    assert names[0] != names[1]


def test_writing_again_over_the_same_sample_changes_nothing(small: Landed, make: Make, tmp_path: Path):
    root = Path(shutil.copytree(small.root, tmp_path / "data"))

    make(root=root)

    assert digests(root) == digests(small.root)


def test_a_sample_never_replaces_other_batches(small: Landed, make: Make, tmp_path: Path):
    root = Path(shutil.copytree(small.root, tmp_path / "data"))

    with pytest.raises(SampleInTheWayError, match="differ"):
        make(root=root, seed=8)

    assert digests(root) == digests(small.root)


@pytest.mark.parametrize(("customers", "days"), [(0, 400), (10, 9)])
def test_a_sample_of_nobody_or_of_no_time_is_refused(tmp_path: Path, customers: int, days: int):
    with pytest.raises(ValueError, match="at least"):
        write_sample(
            DataFolders(tmp_path), customers=customers, days=days, seed=1, end_on=END_ON, dirty=False, zone=SHANGHAI
        )


def test_one_customer_is_enough(make: Make):
    landed = make(customers=1, days=10)

    assert landed.summary.rows_by_table["saas/clinics"] > 0


def test_every_contract_gets_an_initial_batch_with_rows_and_three_daily_ones(clean: Landed):
    days = [END_ON - timedelta(days=n) for n in (3, 2, 1, 0)]
    wanted = [f"{on:%Y%m%d}-{'daily' if n else 'initial'}" for n, on in enumerate(days)]

    for table in contracts():
        manifests = clean.manifests(table)
        assert [m["batch_id"] for m in manifests] == wanted, table
        assert manifests[0]["row_count"] > 0, table


def test_manifests_tell_the_truth_about_their_files(clean: Landed):
    for table in contracts():
        for manifest in clean.manifests(table):
            folder = clean.root / "landing" / table / manifest["batch_id"]
            listed = {file["name"] for file in manifest["files"]}
            assert listed == {path.name for path in folder.iterdir()} - {"_manifest.json"}
            for file in manifest["files"]:
                data = (folder / file["name"]).read_bytes()
                assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
            assert len(clean.batch(table, manifest["batch_id"])) == manifest["row_count"], table


def test_windows_follow_each_other_without_gap(clean: Landed):
    windows = [m["window"] for m in clean.manifests("saas/bills")]

    assert [w["from"] for w in windows[1:]] == [w["to"] for w in windows[:-1]]
    assert windows[-1]["to"] == f"{END_ON + timedelta(days=1)}T00:00:00+08:00"
    assert windows[0]["from"] == f"{END_ON - timedelta(days=DAYS - 1)}T00:00:00+08:00"


def test_progress_and_summary_count_the_rows_of_the_manifests(make: Make):
    told: dict[str, int] = {}

    landed = make(on_progress=lambda table, rows: told.update({table: told.get(table, 0) + rows}))

    counted = {t: sum(m["row_count"] for m in landed.manifests(t)) for t in contracts()}
    assert landed.summary.rows_by_table == counted
    assert told == counted


def test_two_processes_write_the_rows_one_would_write(make: Make, monkeypatch: pytest.MonkeyPatch):
    settings = {"customers": 25_100, "activity_scale": 0.02, "days": 30}
    alone = make(**settings)
    monkeypatch.setattr(shard, "ONE_SHARD_UP_TO", 1)

    together = make(**settings)

    assert together.summary.rows_by_table == alone.summary.rows_by_table
    for table in ("saas/patients", "mini_program/users", "operational/coupons"):
        assert together.rows(table).equals(alone.rows(table)), table
    truths = [pq.read_table(s.root / "sample_truth/truth.parquet").sort_by("key") for s in (alone, together)]
    assert truths[0].equals(truths[1])


def test_activity_is_about_thirty_rows_per_customer_and_a_third_of_it_in_the_mini_program(clean: Landed):
    rows = clean.summary.rows_by_table
    identities = ("staff", "clinics", "patient", "fan", "users", "bindings", "wecom", "leads/leads", "templates")
    activity = {t: n for t, n in rows.items() if not any(word in t for word in identities)}

    per_customer = sum(activity.values()) / clean.summary.customers

    assert 27 < per_customer < 37
    assert 0.33 < activity["mini_program/events"] / sum(activity.values()) < 0.41


def test_a_zone_with_summer_time_gives_times_in_that_zone(make: Make):
    landed = make(zone=ZoneInfo("Europe/Berlin"), end_on=date(2026, 11, 20))

    path = next((landed.root / "landing/official_account/follow_events").glob("*-initial/*.jsonl"))
    offsets = {json.loads(line)["occurred_at"][-6:] for line in path.read_text("utf-8").splitlines()}
    assert offsets == {"+01:00", "+02:00"}
