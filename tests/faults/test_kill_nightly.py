"""`kill -9` in the middle of a night: the served version is untouched, and the rerun converges.

More rounds: `python -m tests.faults.test_kill_nightly 20`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from pipelines.nightly import read_runs
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import Pointer, read_pointer
from tests.conftest import END_ON

ROUNDS = 4


def start_night(root: Path, day: date) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "nightly", "--as-of", day.isoformat()],
        env={"CDP_DATA_DIR": str(root), "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def whole_night(root: Path, day: date) -> float:
    began = time.perf_counter()
    assert start_night(root, day).wait() == 0
    return time.perf_counter() - began


def served(root: Path) -> Pointer:
    return read_pointer(PipelineSettings(data_dir=root).folders)


def kill_and_converge(landing: Path, work: Path, rounds: int, seed: int) -> None:
    """Two nights undisturbed, and the same two nights killed at random moments: equal content hashes."""
    day_before = END_ON - timedelta(days=1)
    calm, rough = work / "calm", work / "rough"
    shutil.copytree(landing, calm)
    whole_night(calm, day_before)
    shutil.copytree(calm, rough)
    seconds = whole_night(calm, END_ON)
    before = served(rough)
    dice = random.Random(seed)  # noqa: S311
    for _ in range(rounds):
        night = start_night(rough, END_ON)
        time.sleep(dice.uniform(0.3, seconds * 0.95))
        finished = night.poll() is not None
        os.killpg(night.pid, signal.SIGKILL) if not finished else None
        night.wait()
        pointer = served(rough)
        assert pointer == before or pointer.as_of == END_ON
        if pointer.as_of == END_ON:
            break
    whole_night(rough, END_ON)

    assert served(rough).content_hashes == served(calm).content_hashes
    assert served(rough).row_counts == served(calm).row_counts


def test_a_night_killed_at_random_moments_converges_to_the_undisturbed_one(
    sample_landing: Path, tmp_path: Path
) -> None:
    kill_and_converge(sample_landing, tmp_path, ROUNDS, seed=int(time.time_ns()) & 0xFFFF)

    statuses = {record.status for record in read_runs(PipelineSettings(data_dir=tmp_path / "rough").folders)}
    assert "succeeded" in statuses


if __name__ == "__main__":
    import tempfile

    from pipelines.sample.generate import write_sample
    from segment_engine.runtime.folders import DataFolders
    from tests.conftest import ZONE

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_sample(
            DataFolders(root / "landing_only"), customers=1_200, days=120, seed=7, end_on=END_ON, dirty=False, zone=ZONE
        )
        for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            kill_and_converge(root / "landing_only", root / str(number), ROUNDS, seed=number)
            shutil.rmtree(root / str(number))
            sys.stdout.write(f"round {number}: converged\n")
