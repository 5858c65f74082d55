"""`kill -9` in the middle of a night: the served version is untouched, and what is run next converges.

Next is the same night again, or the night of the day after. The longer half is `make soak`; more rounds:
`python -m tests.faults.test_kill_nightly 20`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipelines.identity.state import last_night
from pipelines.nightly import is_interrupted, read_runs
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import Pointer, open_current, read_pointer
from tests.conftest import END_ON

pytestmark = pytest.mark.timeout(1200)

ROUNDS = 2
ATTEMPTS = 10
DAY_BEFORE, DAY, DAY_AFTER = END_ON - timedelta(days=2), END_ON - timedelta(days=1), END_ON
# It goes on from what was published (decision 0003), so a night that was killed is no step of it.
BY_PUBLICATION = {"marts.customer_attribute_history"}

# A night that kills itself when a function of `steps` is called, so that the place is the same each time.
KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from pipelines import steps
from pipelines.clock import SystemClock
from pipelines.nightly import run_night
from pipelines.settings import PipelineSettings

root, day, name = sys.argv[1:]
setattr(steps, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
settings = PipelineSettings(data_dir=Path(root))
run_night(settings, as_of=date.fromisoformat(day), clock=SystemClock(settings.zone))
"""


@dataclass(frozen=True, slots=True)
class Calm:
    """Nights undisturbed: the directory after the first, what each later one served, and the slowest's seconds."""

    after_first: Path
    served: dict[date, Pointer]
    seconds: float


def start(root: Path, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *command],
        env={"CDP_DATA_DIR": str(root), "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_night(root: Path, day: date) -> subprocess.Popen[bytes]:
    return start(root, "-m", "pipelines.cli", "nightly", "--as-of", day.isoformat())


def whole_night(root: Path, day: date) -> Pointer:
    assert start_night(root, day).wait() == 0
    pointer = served(root)
    assert pointer.as_of == day
    return pointer


def served(root: Path) -> Pointer:
    return read_pointer(PipelineSettings(data_dir=root).folders)


def calm_nights(landing: Path, work: Path) -> Calm:
    root, after_first = work / "calm", work / "after_first"
    shutil.copytree(landing, root)
    whole_night(root, DAY_BEFORE)
    shutil.copytree(root, after_first)
    pointers = {day: whole_night(root, day) for day in (DAY, DAY_AFTER)}
    slowest = max(
        sum(step["seconds"] for step in run.steps) for run in read_runs(PipelineSettings(data_dir=root).folders)
    )
    return Calm(after_first, pointers, slowest)


def interrupted_runs(root: Path) -> list[str]:
    records = read_runs(PipelineSettings(data_dir=root).folders, newest=100)
    return [record.run_id for record in records if is_interrupted(record)]


def kill_at_a_random_moment(root: Path, dice: random.Random, seconds: float) -> None:
    """Kill a night of DAY while its steps run; a night that was quicker is undone and killed earlier."""
    before, attempt = len(interrupted_runs(root)), 0
    saved = root.with_name(f"{root.name}.saved")
    shutil.copytree(root, saved)
    while len(interrupted_runs(root)) == before:
        assert attempt < ATTEMPTS, "no night could be interrupted"
        shutil.rmtree(root)
        shutil.copytree(saved, root)
        known = len(read_runs(PipelineSettings(data_dir=root).folders, newest=100))
        night = start_night(root, DAY)
        while night.poll() is None and len(list((root / "runs").glob("*.json"))) == known:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, seconds / (1 + attempt)))
        if night.poll() is None:
            os.killpg(night.pid, signal.SIGKILL)
        night.wait()
        attempt += 1
    assert night.returncode == -signal.SIGKILL
    shutil.rmtree(saved)


def resolved(root: Path, day: date) -> bool:
    """Whether identity has had the night of that day."""
    with connect_warehouse(PipelineSettings(data_dir=root)) as con:
        return last_night(con, "identity") == day


def different(one: Pointer, other: Pointer) -> set[str]:
    """The tables and views that differ between two versions, in rows, definition or being there at all."""
    return {name for name, _ in one.content_hashes.items() ^ other.content_hashes.items()}


def killed_again_and_again(calm: Calm, root: Path, dice: random.Random, rounds: int) -> None:
    """Nights of DAY killed at random moments, until one of them has moved the pointer."""
    shutil.copytree(calm.after_first, root)
    before = served(root)
    for _ in range(rounds):
        kill_at_a_random_moment(root, dice, calm.seconds)
        pointer = served(root)
        assert pointer == before or pointer.content_hashes == calm.served[DAY].content_hashes
        if pointer != before:
            break


@pytest.fixture(scope="module")
def calm(sample_landing: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    work = tmp_path_factory.mktemp("calm")
    yield calm_nights(sample_landing, work)
    shutil.rmtree(work)


@pytest.fixture(scope="module")
def without_day(calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Pointer:
    """What DAY_AFTER serves where DAY never ran.

    Its batches are there, but new customers of both days get their ids in one night, in another order.
    """
    root = tmp_path_factory.mktemp("skipping") / "data"
    shutil.copytree(calm.after_first, root)
    return whole_night(root, DAY_AFTER)


@pytest.fixture
def dice() -> random.Random:
    seed = time.time_ns() & 0xFFFF
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)  # noqa: S311


@pytest.mark.soak
def test_a_night_killed_at_random_moments_converges_to_the_undisturbed_one(
    calm: Calm, tmp_path: Path, dice: random.Random
) -> None:
    killed_again_and_again(calm, tmp_path / "rough", dice, ROUNDS)

    again = whole_night(tmp_path / "rough", DAY)

    assert interrupted_runs(tmp_path / "rough")
    assert different(again, calm.served[DAY]) == set()
    assert again.row_counts == calm.served[DAY].row_counts


@pytest.mark.soak
def test_the_night_after_one_killed_at_a_random_moment_ends_where_undisturbed_nights_end(
    calm: Calm, without_day: Pointer, tmp_path: Path, dice: random.Random
) -> None:
    root = tmp_path / "rough"
    killed_again_and_again(calm, root, dice, 1)
    identity_was_done = resolved(root, DAY)

    after = whole_night(root, DAY_AFTER)

    assert len(interrupted_runs(root)) == 1
    undisturbed = calm.served[DAY_AFTER] if identity_was_done else without_day
    assert different(after, undisturbed) - BY_PUBLICATION == set()


def after_a_night_killed_before(step: str, calm: Calm, root: Path) -> Pointer:
    shutil.copytree(calm.after_first, root)
    assert start(root, "-c", KILLED, str(root), DAY.isoformat(), step).wait() == -signal.SIGKILL
    assert resolved(root, DAY) == (step in {"build_marts", "publish"})
    after = whole_night(root, DAY_AFTER)
    assert len(interrupted_runs(root)) == 1
    return after


@pytest.mark.soak
def test_a_night_killed_before_identity_is_to_the_next_one_as_if_it_had_not_run(
    calm: Calm, without_day: Pointer, tmp_path: Path
) -> None:
    after = after_a_night_killed_before("resolve_identity", calm, tmp_path / "rough")

    assert different(after, without_day) == set()


@pytest.mark.soak
def test_a_night_killed_before_publishing_is_to_the_next_one_as_if_it_had_ended(calm: Calm, tmp_path: Path) -> None:
    after = after_a_night_killed_before("publish", calm, tmp_path / "rough")

    assert different(after, calm.served[DAY_AFTER]) - BY_PUBLICATION == set()


@pytest.fixture(scope="module")
def after_killed_marts(calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("marts") / "rough"
    after_a_night_killed_before("build_marts", calm, root)
    return root


def test_a_night_killed_between_identity_and_marts_is_to_the_next_one_as_if_it_had_ended(
    calm: Calm, after_killed_marts: Path
) -> None:
    assert different(served(after_killed_marts), calm.served[DAY_AFTER]) - BY_PUBLICATION == set()


def test_a_killed_night_was_never_published_so_the_history_tells_its_changes_by_the_night_after(
    after_killed_marts: Path,
) -> None:
    begun = "select valid_from, count(*) from marts.customer_attribute_history where valid_from > $day group by all"
    with open_current(DataFolders(after_killed_marts), timezone="Asia/Shanghai")[0] as con:
        versions = dict(con.execute(begun, {"day": DAY_BEFORE}).fetchall())

    assert versions.keys() == {DAY_AFTER}
    assert versions[DAY_AFTER] > 0


if __name__ == "__main__":
    import tempfile

    from pipelines.sample.generate import write_sample
    from tests.conftest import ZONE

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_sample(
            DataFolders(work / "landing_only"), customers=1_200, days=120, seed=7, end_on=END_ON, dirty=False, zone=ZONE
        )
        undisturbed = calm_nights(work / "landing_only", work)
        for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            rough = work / str(number)
            killed_again_and_again(undisturbed, rough, random.Random(number), ROUNDS)  # noqa: S311
            assert different(whole_night(rough, DAY), undisturbed.served[DAY]) == set()
            shutil.rmtree(rough)
            sys.stdout.write(f"round {number}: converged\n")
