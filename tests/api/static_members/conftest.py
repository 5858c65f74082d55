"""The shared night after a merge: one customer's id leads to another, as a published version tells it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient

from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import POINTER_NAME, read_pointer
from tests.api.conftest import MakeClient

MadeOnce = Callable[[str, Callable[[Path], None]], Path]


@dataclass(frozen=True)
class Merged:
    """Two customers of the shared night of whom the version in `folder` knows one, and the way there and back."""

    folder: Path
    lost: str
    kept: str
    night: Path
    served: Path

    def merge(self) -> None:
        self._serve(self.folder)

    def undo(self) -> None:
        self._serve(self.night)

    def _serve(self, folder: Path) -> None:
        self.served.unlink()
        self.served.symlink_to(folder)


@pytest.fixture(scope="session")
def merged_version(night: PipelineSettings, made_once: MadeOnce) -> Path:
    """A copy of the shared night's published file in which the last customer was merged into the first."""

    def make(folder: Path) -> None:
        folder.mkdir()
        pointer = read_pointer(night.folders)
        source = night.folders.published
        shutil.copy(source / pointer.catalog_file, folder)
        file = folder / f"merged-{pointer.file}"
        shutil.copy(source / pointer.file, file)
        with duckdb.connect(str(file)) as con:
            lost, kept, key = _two(con)
            old = "(select customer_key from marts.dim_customer where one_id = $lost)"
            told = {"lost": lost, "kept": kept, "key": key}
            alias = "(old_one_id, old_customer_key, one_id, customer_key)"
            con.execute(f"insert into marts.one_id_alias {alias} select $lost, {old}, $kept, $key", told)
            con.execute("delete from marts.dim_customer where one_id = ?", [lost])
        served = json.loads(pointer.to_json()) | {"file": file.name, "sha256": "merged"}
        (folder / POINTER_NAME).write_text(json.dumps(served), encoding="utf-8")
        (folder / "ids").write_text(f"{lost} {kept}", encoding="utf-8")

    return made_once("merged", make)


def _two(con: duckdb.DuckDBPyConnection) -> tuple[str, str, int]:
    (row,) = con.execute(
        "select max_by(one_id, customer_key), min_by(one_id, customer_key), min(customer_key) from marts.dim_customer"
    ).fetchall()
    return row


@pytest.fixture
def merged(merged_version: Path, night: PipelineSettings, tmp_path: Path) -> Merged:
    """Before the merge; the client of `merging_client` is served what this says."""
    served = tmp_path / "data" / "published"
    served.parent.mkdir(exist_ok=True)
    if not served.exists():
        served.symlink_to(night.folders.published)
    lost, kept = (merged_version / "ids").read_text(encoding="utf-8").split()
    return Merged(merged_version, lost, kept, night.folders.published, served)


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, with a worker."""
    return make_client(published=True)


@pytest.fixture
def idle(make_client: MakeClient) -> TestClient:
    """The same where no job runs."""
    return make_client(published=True, settings={"job_workers": 0})


@pytest.fixture(scope="module")
def version(published_version: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """What is published, as a copy: the API opens the file itself in its own way."""
    copy = shutil.copy(published_version, tmp_path_factory.mktemp("copy"))
    with duckdb.connect(str(copy), read_only=True) as con:
        con.execute("set search_path = 'marts'")
        yield con


@pytest.fixture(scope="module")
def clinic_pair(version: duckdb.DuckDBPyConnection) -> tuple[str, str, str]:
    """A clinic, one of its customers, and one who is of others only."""
    query = "select one_id, clinic_ids from dim_customer where len(clinic_ids) > 0 order by customer_key"
    rows = version.execute(query).fetchall()
    own, (clinic, *_) = rows[0]
    foreign = next(one_id for one_id, clinics in rows if clinic not in clinics)
    return clinic, own, foreign
