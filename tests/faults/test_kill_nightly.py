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
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.identity.state import last_night
from pipelines.nightly import is_interrupted, read_runs, run_night
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import Pointer, open_current, read_pointer
from tests.conftest import END_ON, LAST_ON, ZONE, FixedClock
from tests.parsed import LendParsed

pytestmark = pytest.mark.timeout(1200)

ROUNDS = 2
ATTEMPTS = 10
DAY_BEFORE, DAY, DAY_AFTER = END_ON, END_ON + timedelta(days=1), LAST_ON
# They go on from what was published (decision 0003), so a night that was killed is no step of them.
BY_PUBLICATION = {"marts.customer_attribute_history", "marts.identity_value_state"}

# A night that kills itself when a function of `steps` is called, so that the place is the same each time.
KILLED = """
import os, signal, sys
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from pipelines import steps
from pipelines.nightly import run_night
from pipelines.settings import PipelineSettings

root, day, now, name = sys.argv[1:]
setattr(steps, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
clock = SimpleNamespace(now=lambda: datetime.fromisoformat(now))
run_night(PipelineSettings(data_dir=Path(root)), as_of=date.fromisoformat(day), clock=clock)
"""


@dataclass(frozen=True, slots=True)
class Calm:
    """Nights undisturbed: the directory after the first and at last, what the others served, the slowest's seconds."""

    after_first: PipelineSettings
    root: Path
    lend_parsed: LendParsed
    served: dict[date, Pointer]
    seconds: float


def begin_again(calm: Calm, root: Path) -> None:
    """Lay a directory after the first night at another place."""
    shutil.copytree(calm.after_first.data_dir, root)
    calm.lend_parsed(PipelineSettings(data_dir=root))


def start(root: Path, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *command],
        env={"CDP_DATA_DIR": str(root), "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_night(root: Path, day: date) -> subprocess.Popen[bytes]:
    return start(root, "-m", "pipelines.cli", "nightly", "--as-of", day.isoformat())


def morning_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE) + timedelta(minutes=30)


def whole_night(root: Path, day: date) -> Pointer:
    # Nobody kills it, so it needs no process of its own; an hour after the one that was killed.
    clock = FixedClock(morning_after(day) + timedelta(hours=1))
    run_night(PipelineSettings(data_dir=root), as_of=day, clock=clock)
    pointer = served(root)
    assert pointer.as_of == day
    return pointer


def served(root: Path) -> Pointer:
    return read_pointer(PipelineSettings(data_dir=root).folders)


def calm_nights(root: Path, after_first: PipelineSettings, lend_parsed: LendParsed) -> Calm:
    calm = Calm(after_first, root, lend_parsed, {}, 0)
    begin_again(calm, root)
    pointers = {day: whole_night(root, day) for day in (DAY, DAY_AFTER)}
    slowest = max(
        sum(step["seconds"] for step in run.steps) for run in read_runs(PipelineSettings(data_dir=root).folders)
    )
    return replace(calm, served=pointers, seconds=slowest)


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
    begin_again(calm, root)
    before = served(root)
    for _ in range(rounds):
        kill_at_a_random_moment(root, dice, calm.seconds)
        pointer = served(root)
        assert pointer == before or pointer.content_hashes == calm.served[DAY].content_hashes
        if pointer != before:
            break


@pytest.fixture(scope="module")
def calm(
    night: PipelineSettings, sample: Path, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calm]:
    work = tmp_path_factory.mktemp("calm")
    after_first = PipelineSettings(data_dir=work / "after_first")
    shutil.copytree(night.data_dir, after_first.data_dir)
    # Of DAY and DAY_AFTER; no night loads a batch before its day.
    shutil.copytree(sample / "later" / "landing", after_first.folders.landing, dirs_exist_ok=True)
    yield calm_nights(work / "calm", after_first, lend_parsed)
    shutil.rmtree(work)


@pytest.fixture(scope="module")
def without_day(calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Pointer:
    """What DAY_AFTER serves where DAY never ran.

    Its batches are there, but new customers of both days get their ids in one night, in another order.
    """
    root = tmp_path_factory.mktemp("skipping") / "data"
    begin_again(calm, root)
    return whole_night(root, DAY_AFTER)


@pytest.fixture
def dice() -> random.Random:
    seed = time.time_ns() & 0xFFFF
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


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
    begin_again(calm, root)
    killed = start(root, "-c", KILLED, str(root), DAY.isoformat(), morning_after(DAY).isoformat(), step)
    assert killed.wait() == -signal.SIGKILL
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


def test_the_states_of_values_after_a_killed_night_differ_only_in_the_night_since_which_they_are_shown(
    calm: Calm, after_killed_marts: Path
) -> None:
    undisturbed, after = value_states(calm.root), value_states(after_killed_marts)

    assert after.keys() == undisturbed.keys()
    assert {key for key, state in after.items() if state[1:] != undisturbed[key][1:]} == set()
    assert {state[0] for state in after.values()} <= {DAY_BEFORE, DAY_AFTER}
    assert DAY in {state[0] for state in undisturbed.values()}


def value_states(root: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    """By type and value of what identity was given: since when its state is shown, then what is told of it."""
    query = "select value_type, value, since_night, * exclude (since_night) from marts.identity_value_state"
    with open_current(DataFolders(root), timezone="Asia/Shanghai")[0] as con:
        return {row[:2]: row[2:] for row in con.execute(query).fetchall()}


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
    from functools import partial

    from pipelines.sample.generate import write_sample
    from tests.parsed import lend, parse

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        first = PipelineSettings(data_dir=work / "first")
        write_sample(first.folders, customers=1_200, days=120, seed=7, end_on=DAY_AFTER, dirty=False, zone=ZONE)
        whole_night(first.data_dir, DAY_BEFORE)
        parse(work / "parsed")
        undisturbed = calm_nights(work / "calm", first, partial(lend, work / "parsed"))
        for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            rough = work / str(number)
            killed_again_and_again(undisturbed, rough, random.Random(number), ROUNDS)
            assert different(whole_night(rough, DAY), undisturbed.served[DAY]) == set()
            shutil.rmtree(rough)
            sys.stdout.write(f"round {number}: converged\n")
