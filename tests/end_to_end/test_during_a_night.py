"""A night as operators run it, on files that somebody dropped, while the API and analysts go on asking."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.commands import demo_token
from api.main import create_app
from api.settings import ApiSettings
from pipelines.cli import app
from pipelines.settings import PipelineSettings
from tests.conftest import END_ON
from tests.dropped import clinics_by_hand
from tests.parsed import LendParsed

DAY = END_ON.isoformat()


@dataclass
class Life:
    """What sealing said, how the night ended, what API and SQL answered meanwhile, and SQL's answer after it."""

    sealed: str
    night: int
    api: list[tuple[int, str]]
    sql: list[int]
    found: str


@pytest.fixture(scope="module")
def life(night: PipelineSettings, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    settings = PipelineSettings(data_dir=tmp_path_factory.mktemp("during") / "data")
    shutil.copytree(night.data_dir, settings.data_dir)
    lend_parsed(settings)
    folder = clinics_by_hand(settings)
    sealed = CliRunner(env={"CDP_DATA_DIR": str(settings.data_dir), "COLUMNS": "200"}).invoke(
        app, ["seal", str(folder), "--from", DAY, "--to", DAY]
    )
    running, sql = cdp(settings, "nightly", "--as-of", DAY, stdout=subprocess.DEVNULL), []
    with Hammer(settings) as hammer:
        while running.poll() is None:
            sql.append(cdp(settings, "sql", "select count(*) from dim_customer").wait())
            hammer.stop.wait(3)
        hammer.wait_for(20)
    last = cdp(settings, "sql", "select clinic_name from dim_clinic where clinic_id = 'HAND'")
    found, _ = last.communicate()
    yield Life(sealed.output, running.returncode, hammer.answers, [*sql, last.returncode], found)
    shutil.rmtree(settings.data_dir)


def cdp(settings: PipelineSettings, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = {"CDP_DATA_DIR": str(settings.data_dir), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([sys.executable, "-m", "pipelines.cli", *words], env=environment, stdout=stdout, text=True)


class Hammer:
    """Asks the API for customers for as long as it is open; status and version of every answer."""

    def __init__(self, settings: PipelineSettings) -> None:
        api = ApiSettings(data_dir=settings.data_dir, rate_limit_per_address=0)
        headers = {"Authorization": f"Bearer {demo_token(api)}"}
        self._client = TestClient(create_app(api), raise_server_exceptions=False, headers=headers)
        self._thread = threading.Thread(target=self._ask)
        self.stop = threading.Event()
        self.answers: list[tuple[int, str]] = []

    def __enter__(self) -> "Hammer":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop.set()
        self._thread.join()

    def wait_for(self, answers: int) -> None:
        """Until there are so many answers more."""
        wanted = len(self.answers) + answers
        while len(self.answers) < wanted:
            self.stop.wait(0.05)

    def _ask(self) -> None:
        # Without a pause this thread would have a processor to itself, and the night would take twice as long.
        while not self.stop.wait(0.05):
            answer = self._client.get("/v1/customers?limit=20")
            self.answers.append((answer.status_code, answer.json().get("version", "")))


def test_api_and_sql_answer_without_error_during_a_night_and_across_its_publish(life: Life) -> None:
    assert life.night == 0
    assert {status for status, _ in life.api} == {200}
    assert [version for _, version in life.api] == sorted(version for _, version in life.api)
    assert {version for _, version in life.api} == {"20261120-01", "20261120-02"}
    assert len(life.sql) > 2
    assert set(life.sql) == {0}


def test_files_dropped_by_hand_are_sealed_and_loaded(life: Life) -> None:
    assert "1 rows" in life.sealed
    assert "手工门诊" in life.found
