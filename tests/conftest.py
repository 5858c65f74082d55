"""Places that several test folders share: a chain with one night behind it, and settings for a folder of one's own."""

import shutil
from collections.abc import Iterator
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

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

ZONE = ZoneInfo("Asia/Shanghai")
END_ON = date(2026, 11, 20)
CUSTOMERS = 1_200


class FixedClock:
    """A clock that stands still."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


MORNING = FixedClock(datetime(2026, 11, 21, 0, 30, tzinfo=ZONE))


@pytest.fixture(scope="session")
def sample_landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that holds clean sample data and nothing else; copy it before running anything in it."""
    root = tmp_path_factory.mktemp("sample")
    write_sample(DataFolders(root), customers=CUSTOMERS, days=120, seed=7, end_on=END_ON, dirty=False, zone=ZONE)
    return root


@pytest.fixture(scope="session")
def night(sample_landing: Path, tmp_path_factory: pytest.TempPathFactory) -> PipelineSettings:
    """A data directory with one published night; read-only for tests, copy it with `own_copy` to change it."""
    root = tmp_path_factory.mktemp("night") / "data"
    shutil.copytree(sample_landing, root)
    settings = PipelineSettings(data_dir=root)
    run_night(settings, as_of=END_ON, clock=MORNING)
    return settings


@pytest.fixture(scope="session")
def published_version(night: PipelineSettings) -> Path:
    """The file that the shared night published."""
    return night.folders.published / read_pointer(night.folders).file


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
