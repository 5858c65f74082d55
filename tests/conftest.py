"""Places that several test folders share: a chain with one night behind it, and settings for a folder of one's own."""

import fcntl
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis
import pytest

from pipelines.nightly import run_night
from pipelines.sample.generate import write_sample
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import discover, waiting
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import read_pointer
from tests.parsed import LendParsed, lend, parse
from tests.postgres import MISSING, find_binaries, memory, running_server
from tests.stores import PostgresStores

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

MadeOnce = Callable[[str, Callable[[Path], None]], Path]
ZONE = ZoneInfo("Asia/Shanghai")
END_ON = date(2026, 11, 20)
LAST_ON = END_ON + timedelta(days=2)
CUSTOMERS = 1_200


# Files that run whole nights or processes, longest first: started last, they would keep one processor waiting. The tour
# of the README is the first since it needs nothing that all share: the shared night is made beside it.
LONG = (
    "pipelines/test_readme", "faults/", "pipelines/test_dagster", "erasure/test_erasure", "end_to_end/",
    "erasure/test_postgres", "erasure/test_dagster", "erasure/test_kill_swap", "erasure/", "dbt/test_nights",
    "analysts/", "pipelines/test_cli_seal", "pipelines/test_dbt_session", "warehouse/test_kill", "api/race/",
    "api/test_schemathesis", "warehouse/test_load_order", "api/jobs/", "api/access/", "api/test_export",
)  # fmt: skip


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what all tests have imported, and come less often: a tenth of a night."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


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
def lend_parsed(made_once: MadeOnce) -> LendParsed:
    """Spare a data directory that dbt parses the project for it."""
    return partial(lend, made_once("parsed", parse))


@pytest.fixture(scope="session")
def sample(made_once: MadeOnce) -> Path:
    """Clean sample data: `data` as it is on the evening of END_ON, and in `later` what lands in the two days after."""

    def make(root: Path) -> None:
        folders, later = DataFolders(root / "data"), DataFolders(root / "later")
        write_sample(folders, customers=CUSTOMERS, days=120, seed=7, end_on=LAST_ON, dirty=False, zone=ZONE)
        for batch in waiting(discover(folders), ZONE, after=END_ON):
            target = later.landing / batch.folder.relative_to(folders.landing)
            target.parent.mkdir(parents=True, exist_ok=True)
            batch.folder.rename(target)

    return made_once("sample", make)


@pytest.fixture(scope="session")
def sample_landing(sample: Path) -> Path:
    """A data directory that holds clean sample data and nothing else; copy it before running anything in it."""
    return sample / "data"


@pytest.fixture(scope="session")
def night(sample_landing: Path, lend_parsed: LendParsed, made_once: MadeOnce) -> PipelineSettings:
    """A data directory with one published night; read-only for tests, copy it with `own_copy` to change it."""

    def make(root: Path) -> None:
        settings = PipelineSettings(data_dir=root / "data")
        shutil.copytree(sample_landing, settings.data_dir)
        lend_parsed(settings)
        run_night(settings, as_of=END_ON, clock=MORNING)

    return PipelineSettings(data_dir=made_once("night", make) / "data")


@pytest.fixture(scope="session")
def chain_night(lend_parsed: LendParsed, made_once: MadeOnce) -> Path:
    """The small chain of `tests.erasure.first_night` after its first night; copy it before doing anything in it."""
    from tests.erasure.first_night import make_first_night  # noqa: PLC0415  (it needs this module)

    return made_once("chain", partial(make_first_night, lend_parsed=lend_parsed))


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
