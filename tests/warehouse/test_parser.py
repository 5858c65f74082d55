"""The parser process: what happens to it never happens to the night."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.ingest.contracts import load_contracts
from pipelines.warehouse.load import ingest_batch
from pipelines.warehouse.parser import SEARCH_PATH, ParserPool, ParserProcess, ParserUnavailable
from tests.ingest.factory import PHONES, csv_text, land, landed, phone, request_for


@pytest.fixture
def request_to_parse(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text(csv_text([phone("K1"), phone("K2") | {"relation": "邻居"}]), encoding="utf-8")
    return request_for(tmp_path, file, "csv", load_contracts()[PHONES])


def crash_on_request(tmp_path, monkeypatch, body):
    """Let the child process run `body` instead of parsing."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pipelines.ingest.parse as p\n"
        f"def parse_file(request, sandboxes):\n    {body}\n"
        "p.parse_file = parse_file\n"
    )
    monkeypatch.setattr("pipelines.warehouse.parser.SEARCH_PATH", [str(tmp_path), *SEARCH_PATH])


AT_WORK = "(request.staged.parent / 'at-work').touch(); import time; time.sleep(60)"


def test_one_process_serves_many_files(request_to_parse):
    with ParserProcess() as parser:
        first = parser.parse(request_to_parse)
        pid = parser.pid
        second = parser.parse(request_to_parse)

        assert (first.good, first.rejected) == (second.good, second.rejected) == (1, 1)
        assert parser.pid == pid
    assert parser.pid is None


@pytest.mark.parametrize(
    "body",
    [
        "import os; os.kill(os.getpid(), 11)",
        "import os; os._exit(3)",
        "raise BaseException('pyo3_runtime.PanicException')",
        "raise MemoryError",
        "import sys; sys.stdout.write('noise'); sys.exit(1)",
    ],
)
def test_a_crash_refuses_the_file_and_the_next_one_gets_a_new_process(tmp_path, monkeypatch, request_to_parse, body):
    with monkeypatch.context() as patch, ParserProcess() as parser:
        crash_on_request(tmp_path, patch, body)
        reply = parser.parse(request_to_parse)
        patch.undo()

        assert reply.problem is not None
        assert reply.problem.code == "parser_crashed"
        assert parser.parse(request_to_parse).good == 1


def test_a_crash_refuses_the_batch_and_not_the_night(settings, con, tmp_path, monkeypatch):
    land(settings, PHONES, csv_text([phone("K1")]), rows=1)
    with monkeypatch.context() as patch, ParserProcess() as parser:
        crash_on_request(tmp_path, patch, "import os; os.kill(os.getpid(), 11)")
        result = ingest_batch(con, settings, landed(settings), parser=parser)
        patch.undo()

        assert [problem.code for problem in result.problems] == ["parser_crashed"]
        assert ingest_batch(con, settings, landed(settings), parser=parser).status == "loaded"


def test_a_stuck_parser_is_ended_after_its_time(tmp_path, monkeypatch, request_to_parse):
    with monkeypatch.context() as patch, ParserProcess(timeout_seconds=0.5) as parser:
        crash_on_request(tmp_path, patch, "import time; time.sleep(60)")
        began = time.perf_counter()

        reply = parser.parse(request_to_parse)

        assert reply.problem is not None
        assert reply.problem.code == "parser_timeout"
        assert time.perf_counter() - began < 30
        assert parser.pid is None


def test_a_parser_killed_at_work_refuses_the_file(tmp_path, monkeypatch, request_to_parse):
    with monkeypatch.context() as patch, ParserProcess() as parser:
        crash_on_request(tmp_path, patch, AT_WORK)

        def kill_at_work() -> None:
            while not (request_to_parse.staged.parent / "at-work").exists():
                time.sleep(0.01)
            os.kill(parser.pid or 0, signal.SIGKILL)

        threading.Thread(target=kill_at_work).start()
        reply = parser.parse(request_to_parse)

        assert reply.problem is not None
        assert reply.problem.code == "parser_crashed"


def test_a_parser_that_cannot_start_is_our_fault_and_no_batchs(monkeypatch, request_to_parse):
    monkeypatch.setattr("pipelines.warehouse.parser.sys.executable", "/bin/false")

    with ParserProcess() as parser, pytest.raises(ParserUnavailable):
        parser.parse(request_to_parse)


def test_the_parser_sees_no_setting_of_the_pipeline(tmp_path, monkeypatch, request_to_parse):
    monkeypatch.setenv("CDP_SECRET", "s3cret")
    seen = tmp_path / "environment"
    with monkeypatch.context() as patch, ParserProcess() as parser:
        crash_on_request(
            tmp_path, patch, f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(str(os.environ))"
        )
        parser.parse(request_to_parse)

    assert "PATH" in seen.read_text()
    assert "s3cret" not in seen.read_text()


STUCK = """
import sys, json
from pathlib import Path
from pipelines.ingest.parse_messages import ParseRequest
from pipelines.warehouse import parser as p
p.SEARCH_PATH.insert(0, sys.argv[1])
parser = p.ParserProcess()
request = ParseRequest.from_json(json.loads(Path(sys.argv[2]).read_text()))
import threading
threading.Thread(target=parser.parse, args=(request,), daemon=True).start()
while parser.pid is None:
    pass
print(parser.pid, flush=True)
sys.stdin.read()
"""


def test_a_parser_at_work_ends_soon_after_its_pipeline_was_killed(tmp_path, monkeypatch, request_to_parse):
    crash_on_request(tmp_path, monkeypatch, "import time; time.sleep(60)")
    (tmp_path / "request.json").write_text(json.dumps(request_to_parse.to_json()), encoding="utf-8")
    command = [sys.executable, "-c", STUCK, str(tmp_path), str(tmp_path / "request.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipeline:
        assert pipeline.stdout is not None
        orphan = Path(f"/proc/{int(pipeline.stdout.readline())}/status")
        time.sleep(1.0)

        pipeline.kill()

    deadline = time.monotonic() + 10
    while orphan.exists() and "zombie" not in orphan.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert time.monotonic() < deadline


MEETS_ANOTHER = """
    import time
    from pathlib import Path
    from pipelines.ingest.parse_messages import ParseReply
    place = request.staged.parent
    (place / f"at-work-{request.batch_id}").touch()
    while len(list(place.glob("at-work-*"))) < 2:
        time.sleep(0.01)
    return ParseReply(good=7)
"""


def test_a_pool_parses_files_side_by_side(tmp_path, monkeypatch, request_to_parse):
    crash_on_request(tmp_path, monkeypatch, MEETS_ANOTHER.strip())
    requests = [replace(request_to_parse, batch_id=name) for name in ("a", "b")]

    with closing(ParserPool(2)) as pool, ThreadPoolExecutor(2) as threads:
        replies = list(threads.map(pool.parse, requests))

    assert [reply.good for reply in replies] == [7, 7]


def test_a_closed_pool_ends_what_is_at_work_and_begins_nothing_more(tmp_path, monkeypatch, request_to_parse):
    crash_on_request(tmp_path, monkeypatch, AT_WORK)
    pool = ParserPool(1)
    with ThreadPoolExecutor(2) as threads:
        replies = [threads.submit(pool.parse, request_to_parse) for _ in range(2)]
        while not (request_to_parse.staged.parent / "at-work").exists():
            time.sleep(0.01)

        pool.close()

        problems = [reply.result(timeout=20).problem for reply in replies]
    assert [problem and problem.code for problem in problems] == ["parser_crashed", "parser_crashed"]
