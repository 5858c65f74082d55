"""What `cdp demo` says about its services."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from rich.console import Console

from pipelines import processes
from pipelines.settings import PipelineSettings


def test_a_dagster_that_does_not_start_is_told_with_its_own_words(
    empty_settings: PipelineSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "DAGSTER", (sys.executable, "-c", "raise SystemExit('port [3000] is taken')"))

    code = processes.serve_demo(empty_settings, Console(width=200), api_port=1, dagster_port=1, key="cdp_0_0")

    said = capsys.readouterr().out
    assert code == 1
    assert str(processes.dagster_log(empty_settings)) in said.replace("\n", "")
    assert "port [3000] is taken" in said
    assert "服务未能启动" in said


DEMO = """
import sys
from pathlib import Path
from rich.console import Console
from pipelines import processes
from pipelines.settings import PipelineSettings

answers = (
    "import http.server, sys\\n"
    "class Yes(http.server.BaseHTTPRequestHandler):\\n"
    "    def do_GET(self):\\n"
    "        self.send_response(200); self.end_headers()\\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[-1])), Yes).serve_forever()\\n"
)
processes.DAGSTER = (sys.executable, "-c", answers)
ports = {"api_port": int(sys.argv[1]), "dagster_port": int(sys.argv[2])}
sys.exit(processes.serve_demo(PipelineSettings(), Console(width=200), key="cdp_0_0", **ports))
"""


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_that_stops_the_demo_and_all_its_group_stops_it_once_and_quietly(
    own_copy: PipelineSettings, asked: signal.Signals
) -> None:
    ports = [free_port(), free_port()]
    demo = subprocess.Popen(
        [sys.executable, "-c", DEMO, *map(str, ports)],
        env={**os.environ, "CDP_DATA_DIR": str(own_copy.data_dir), "PYTHONPATH": str(processes.REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    while "Ctrl-C" not in demo.stdout.readline():
        assert demo.poll() is None

    os.killpg(demo.pid, asked)
    _, log = demo.communicate(timeout=40)

    assert demo.returncode == 0
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
    for port in ports:
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), timeout=2):
            pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
