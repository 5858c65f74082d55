"""A night on sample data with planted faults: what is quarantined, and that segments and tables are told alike."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.nightly import run_night
from pipelines.sample.generate import write_sample
from pipelines.settings import PipelineSettings
from pipelines.status import platform_status
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer
from tests.conftest import END_ON, MORNING, ZONE
from tests.parsed import LendParsed


@pytest.fixture(scope="module")
def dirty_night(lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineSettings]:
    root = tmp_path_factory.mktemp("dirty")
    write_sample(DataFolders(root), customers=400, days=60, seed=3, end_on=END_ON, dirty=True, zone=ZONE)
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)
    with pytest.MonkeyPatch.context() as patch:
        # As few rows as a sample has, kept in both ways that rows are kept.
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", 100)
        run_night(settings, as_of=END_ON, clock=MORNING)
    yield settings
    shutil.rmtree(root)


def test_a_night_over_segments_publishes_what_a_night_over_tables_does(
    dirty_night: PipelineSettings, lend_parsed: LendParsed, tmp_path: Path
) -> None:
    other = PipelineSettings(data_dir=tmp_path / "data")
    shutil.copytree(dirty_night.folders.landing, other.folders.landing)
    lend_parsed(other)

    run_night(other, as_of=END_ON, clock=MORNING)

    assert (dirty_night.folders.build / "raw").exists()
    assert not (other.folders.build / "raw").exists()
    assert read_pointer(other.folders).content_hashes == read_pointer(dirty_night.folders).content_hashes


def test_dirty_data_is_quarantined_where_it_was_planted(dirty_night: PipelineSettings) -> None:
    planted = json.loads((dirty_night.data_dir / "sample_truth/dirt.json").read_text(encoding="utf-8"))
    status = platform_status(dirty_night, now=MORNING.now())

    refused = {
        (batch["source"], batch["table_name"], batch["batch_id"], batch["refusal_code"]) for batch in status.refused
    }
    places = [(row["source"], row["table"], row["batch_id"]) for row in planted["rows"]]
    found: set[tuple[str, ...]] = set()
    for place in set(places):
        file = dirty_night.folders.quarantine.joinpath(*place).with_suffix(".csv")
        with duckdb.connect() as con:
            query = 'select file, line, "column", code from read_csv(?, all_varchar = true)'
            found |= {(*place, *row) for row in con.execute(query, [str(file)]).fetchall()}

    assert refused == {
        (batch["source"], batch["table"], batch["batch_id"], batch["reason"]) for batch in planted["batches"]
    }
    expected = {
        (row["source"], row["table"], row["batch_id"], row["file"], str(row["line"]), row["column"], row["reason"])
        for row in planted["rows"]
    }
    assert len(expected) > 20
    assert expected <= found
    assert status.unsealed == ["/".join((row["source"], row["table"], row["batch_id"])) for row in planted["ignored"]]


def test_status_lists_what_was_quarantined_and_why(dirty_night: PipelineSettings) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status", "--all"],
        env={"CDP_DATA_DIR": str(dirty_night.data_dir), "PATH": "/usr/bin:/bin", "COLUMNS": "250"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    for word in ("Quarantined rows", "too_many_decimals", "malformed_row", "Refused batches", "checksum_mismatch"):
        assert word in answer
