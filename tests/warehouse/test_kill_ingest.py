"""kill -9 at the worst moments of loading: the rerun ends where an undisturbed run ends."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import ingest_all
from tests.ingest.factory import EVENTS, PHONES, csv_text, event, jsonl_text, land, phone

# Runs an ingest that kills itself when a function is about to return (or, with "before", is called) for the n-th time.
KILLED = """
import importlib, os, signal, sys
from pathlib import Path
from pipelines.settings import PipelineSettings
from pipelines.warehouse import segments
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import ingest_all

root, module, name, when, times = sys.argv[1:]
owner = importlib.import_module(module)
work, calls = getattr(owner, name), 0

def deadly(*arguments, **options):
    global calls
    calls += 1
    if when == "before" and calls == int(times):
        os.kill(os.getpid(), signal.SIGKILL)
    result = work(*arguments, **options)
    if when == "after" and calls == int(times):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, deadly)
segments.SEGMENT_ROWS = 30
settings = PipelineSettings(data_dir=Path(root))
with connect_warehouse(settings) as con:
    ensure_ingest_schema(con, settings.folders)
    ingest_all(con, settings, discover(settings.folders))
"""
LOAD = "pipelines.warehouse.load"


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    settings = PipelineSettings(data_dir=tmp_path_factory.mktemp("landing") / "data")
    rows = [phone(f"K{number % 30}", str(number), updated_at=f"2026-11-20 0{number % 9}:00:00") for number in range(60)]
    rows += [phone("K99") | {"relation": "邻居"}]
    for number in range(3):
        land(settings, PHONES, csv_text(rows[number * 20 :]), batch_id=f"p{number}", rows=len(rows) - number * 20)
    events = [event(f"E{number % 40}", object_name=str(number)) for number in range(50)]
    land(settings, EVENTS, jsonl_text(events) + "{broken\n", batch_id="e", rows=51, form="jsonl")
    return settings.folders.root


@pytest.fixture(scope="module")
def undisturbed(batches, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed") / "data"
    shutil.copytree(batches, root)
    return content_after_a_run(root)


def content_after_a_run(root: Path):
    settings = PipelineSettings(data_dir=root)
    tables = ["ingest.batch", "ingest.rejection", "raw.saas__patient_phones", "raw.mini_program__events"]
    with connect_warehouse(settings) as con:
        ensure_ingest_schema(con, settings.folders, [load_contracts()[PHONES], load_contracts()[EVENTS]])
        ingest_all(con, settings, discover(settings.folders))
        content = [con.execute(f"from {table} order by all").fetchall() for table in tables]
    files = [file for folder in ("quarantine", "build/staged") for file in (root / folder).rglob("*") if file.is_file()]
    return content, {str(file.relative_to(root)): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("module", "name", "when", "times"),
    [
        ("pipelines.warehouse.prepare", "_parse", "after", 2),
        (LOAD, "write_quarantine", "after", 2),
        (LOAD, "write_rejections", "after", 4),
        (LOAD, "_finish", "after", 2),
        ("pipelines.warehouse.winners", "_insert", "before", 1),
        ("pipelines.warehouse.segments", "_move_durably", "after", 1),
        ("pipelines.warehouse.segments", "write_raw_view", "before", 1),
        ("pipelines.warehouse.winners", "_note_beaten_rows", "before", 1),
    ],
)
def test_a_run_killed_anywhere_converges_when_run_again(batches, undisturbed, tmp_path, module, name, when, times):
    root = tmp_path / "data"
    shutil.copytree(batches, root)

    killed = subprocess.run([sys.executable, "-c", KILLED, str(root), module, name, when, str(times)], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert content_after_a_run(root) == undisturbed
