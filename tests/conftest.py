"""Places that several test folders share: a chain with one night behind it, and settings for a folder of one's own."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis
import pytest

from pipelines.nightly import run_night
from pipelines.sample.generate import write_sample
from pipelines.settings import PipelineSettings
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer
from tests.postgres import MISSING, find_binaries, memory, running_server
from tests.stores import PostgresStores

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

MadeOnce = Callable[[str, Callable[[Path], None]], Path]
ZONE = ZoneInfo("Asia/Shanghai")
END_ON = date(2026, 11, 20)
CUSTOMERS = 1_200


# Files that run whole nights or processes, longest first: started last, they would keep one processor waiting.
LONG = (
    "faults/", "pipelines/test_dagster", "erasure/test_erasure", "end_to_end/", "erasure/test_postgres",
    "erasure/test_dagster", "pipelines/test_readme", "erasure/test_kill_swap", "erasure/", "dbt/test_nights",
    "analysts/", "pipelines/test_cli_seal", "pipelines/test_dbt_session", "warehouse/test_kill", "api/race/",
    "api/test_schemathesis", "warehouse/test_load_order", "api/jobs/", "api/access/", "api/test_export",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; otherwise in the order in which they were found."""
    places = {part: place for place, part in enumerate(LONG)}
    items.sort(key=lambda item: next((places[part] for part in LONG if part in item.path.as_posix()), len(LONG)))


class FixedClock:
    """A clock that stands still."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


MORNING = FixedClock(datetime(2026, 11, 21, 0, 30, tzinfo=ZONE))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Folders that all test processes of this run share: `made_once("night", make)` makes one where none has yet."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def sample_landing(made_once: MadeOnce) -> Path:
    """A data directory that holds clean sample data and nothing else; copy it before running anything in it."""

    def make(root: Path) -> None:
        write_sample(DataFolders(root), customers=CUSTOMERS, days=120, seed=7, end_on=END_ON, dirty=False, zone=ZONE)

    return made_once("sample", make)


@pytest.fixture(scope="session")
def night(sample_landing: Path, made_once: MadeOnce) -> PipelineSettings:
    """A data directory with one published night; read-only for tests, copy it with `own_copy` to change it."""

    def make(root: Path) -> None:
        shutil.copytree(sample_landing, root / "data")
        run_night(PipelineSettings(data_dir=root / "data"), as_of=END_ON, clock=MORNING)

    return PipelineSettings(data_dir=made_once("night", make) / "data")


@pytest.fixture(scope="session")
def published_version(night: PipelineSettings) -> Path:
    """The file that the shared night published."""
    return night.folders.published / read_pointer(night.folders).file


@pytest.fixture(scope="session")
def postgres_stores() -> Iterator[PostgresStores]:
    """A PostgreSQL of this test process's own; skips where the machine has none."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(MISSING)
    # Each test has a database of its own: some 300 files, which a disk takes ten times as long to make and to drop.
    with running_server(binaries, below=memory()) as socket:
        yield PostgresStores(socket)


@pytest.fixture
def own_copy(night: PipelineSettings, tmp_path: Path) -> Iterator[PipelineSettings]:
    """The shared night in a folder that the test may change."""
    root = tmp_path / "data"
    shutil.copytree(night.data_dir, root)
    yield PipelineSettings(data_dir=root)
    shutil.rmtree(root)


@pytest.fixture
def empty_settings(tmp_path: Path) -> PipelineSettings:
    """Settings of a data directory in which nothing has happened."""
    return PipelineSettings(data_dir=tmp_path / "data")
