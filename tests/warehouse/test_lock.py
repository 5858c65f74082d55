import signal
import subprocess
import sys
import time

import pytest

from pipelines.warehouse.lock import WarehouseBusy, current_holder, writer_lock
from segment_engine.runtime.folders import DataFolders

HOLD = """
import sys, time
from pathlib import Path
from pipelines.warehouse.lock import writer_lock
from segment_engine.runtime.folders import DataFolders
with writer_lock(DataFolders(Path(sys.argv[1])), wait_seconds=0, owner="夜间运行"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path, holder):
    with pytest.raises(WarehouseBusy) as caught, writer_lock(DataFolders(tmp_path), wait_seconds=0, owner="me"):
        pass

    assert caught.value.holder["pid"] == holder.pid
    assert caught.value.holder["owner"] == "夜间运行"
    assert "夜间运行" in str(caught.value)


def test_who_holds_the_lock_is_told_without_touching_it(tmp_path, holder, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: pytest.fail("touched"))

    held = current_holder(DataFolders(tmp_path))
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert (held["pid"], held["owner"]) == (holder.pid, "夜间运行")
    assert current_holder(DataFolders(tmp_path)) is None
    assert current_holder(DataFolders(tmp_path / "none")) is None


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with writer_lock(DataFolders(tmp_path), wait_seconds=0, owner="me"):
        pass


def test_waiting_lasts_as_long_as_asked(tmp_path, holder):
    began = time.perf_counter()

    with pytest.raises(WarehouseBusy), writer_lock(DataFolders(tmp_path), wait_seconds=0.4, owner="me"):
        pass

    assert 0.4 <= time.perf_counter() - began < 5


def test_the_lock_is_free_after_use_and_after_an_error(tmp_path):
    folders = DataFolders(tmp_path)

    with pytest.raises(RuntimeError), writer_lock(folders, wait_seconds=0, owner="first"):
        raise RuntimeError
    assert current_holder(folders) is None

    with writer_lock(folders, wait_seconds=0, owner="second"):
        pass


def test_one_process_cannot_take_the_lock_twice(tmp_path):
    folders = DataFolders(tmp_path)

    with (
        writer_lock(folders, wait_seconds=0, owner="outer"),
        pytest.raises(WarehouseBusy, match="outer"),
        writer_lock(folders, wait_seconds=0, owner="inner"),
    ):
        pass
