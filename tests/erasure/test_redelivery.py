"""A batch that was redacted lands once more with its clear values: nobody comes back, and no clear text stays."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import BatchResult, ingest_all
from pipelines.warehouse.redact import Redactor
from segment_engine.runtime.secret import person_digest, tenant_secret
from tests.erasure.canary import found_in
from tests.ingest.factory import PHONES, csv_text, land, phone

CLEAR = "13712340987"
ROWS = [phone("K1", CLEAR), phone("K2") | {"patient_id": "P2"}, phone("K3") | {"patient_id": "P3"}]


@dataclass
class Redelivered:
    """A directory whose only batch was redacted, and the batch's folder as its source once delivered it."""

    settings: PipelineSettings
    folder: Path
    original: Path

    def ingest(self) -> BatchResult:
        """One more ingest of the batch, with P1 erased."""
        erased = {person_digest(tenant_secret(self.settings), "patient:saas:P1")}
        with connect_warehouse(self.settings) as con, Redactor(self.settings, erased) as redactor:
            ensure_ingest_schema(con, self.settings.folders, [load_contracts()[PHONES]])
            (result,) = ingest_all(con, self.settings, discover(self.settings.folders), redactor=redactor)
        return result

    def files(self) -> list[str]:
        return sorted(file.name for file in self.folder.iterdir())

    def raw(self) -> list[Any]:
        with connect_warehouse(self.settings) as con:
            return con.execute("from raw.saas__patient_phones order by all").fetchall()


@pytest.fixture
def batch(empty_settings: PipelineSettings, tmp_path: Path) -> Redelivered:
    folder = land(empty_settings, PHONES, csv_text(ROWS), rows=3)
    original = tmp_path / "original"
    shutil.copytree(folder, original)
    batch = Redelivered(empty_settings, folder, original)
    result = batch.ingest()
    assert (result.status, result.loaded, result.erased) == ("loaded", 2, 1)
    assert len(batch.raw()) == 2
    return batch


def upload(batch: Redelivered) -> None:
    shutil.copytree(batch.original, batch.folder, dirs_exist_ok=True)


def upload_in_its_place(batch: Redelivered) -> None:
    shutil.rmtree(batch.folder)
    upload(batch)


@pytest.mark.parametrize("deliver", [upload, upload_in_its_place])
def test_a_batch_that_lands_again_as_it_was_is_redacted_again_and_then_the_one_that_was_loaded(
    batch: Redelivered, deliver: Callable[[Redelivered], None]
) -> None:
    loaded, redacted = batch.raw(), {file.name: file.read_bytes() for file in batch.folder.iterdir()}
    deliver(batch)
    assert found_in(batch.settings.data_dir, [CLEAR])

    result = batch.ingest()

    assert (result.status, result.loaded, result.erased) == ("unchanged", 2, 1)
    assert {file.name: file.read_bytes() for file in batch.folder.iterdir()} == redacted
    assert batch.raw() == loaded
    assert found_in(batch.settings.data_dir, [CLEAR]) == {}


def test_a_reused_batch_id_with_other_rows_is_refused_without_the_erased_persons(batch: Redelivered) -> None:
    loaded = batch.raw()
    land(batch.settings, PHONES, csv_text([*ROWS, phone("K4") | {"patient_id": "P4"}]), rows=4)

    result = batch.ingest()

    assert (result.status, [problem.code for problem in result.problems]) == ("refused", ["batch_id_reused"])
    assert batch.files() == ["_manifest.json", "redacted-1-0001.parquet"]
    assert batch.raw() == loaded
    assert found_in(batch.settings.data_dir, [CLEAR]) == {}
    assert batch.ingest().status == "refused"


def test_what_comes_again_and_cannot_be_looked_through_is_removed_and_said_so(batch: Redelivered) -> None:
    loaded = batch.raw()
    upload(batch)
    (batch.folder / "part-1.csv").write_text(csv_text(ROWS)[:-5], encoding="utf-8")

    result = batch.ingest()

    codes = [problem.code for problem in result.problems]
    assert (codes[0], codes[-1]) == ("batch_id_reused", "erased_batch_unreadable")
    assert batch.files() == ["_manifest.json"]
    assert batch.raw() == loaded
    assert found_in(batch.settings.data_dir, [CLEAR]) == {}


def test_files_laid_beside_a_redacted_batch_without_a_manifest_of_their_own_are_removed(batch: Redelivered) -> None:
    redacted = batch.files()
    shutil.copyfile(batch.original / "part-1.csv", batch.folder / "part-1.csv")
    shutil.copytree(batch.original, batch.folder / "unpacked")

    result = batch.ingest()

    assert (result.status, batch.files()) == ("unchanged", redacted)
    assert found_in(batch.settings.data_dir, [CLEAR]) == {}
