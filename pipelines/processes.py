"""Long-running processes: Dagster's UI and daemon, and the demo's pair of API and Dagster."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import dbt_variables

REPOSITORY = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DAGSTER = (sys.executable, "-m", "dagster", "dev")


def run_dagster(settings: PipelineSettings, *, host: str, port: int) -> int:
    """Run Dagster in the foreground until it ends; its exit code."""
    with _asked_to_stop():
        return _wait([start_dagster(settings, host=host, port=port, quiet=False)])


def serve_demo(settings: PipelineSettings, out: Console, *, api_port: int, dagster_port: int, key: str) -> int:
    """Start API and Dagster, wait until both answer, say what to try with this API key, stay until Ctrl-C."""
    api_url, dagster_url = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{dagster_port}"
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--port", str(api_port)]
    with _asked_to_stop():
        processes = [
            subprocess.Popen(command, process_group=0),  # noqa: S603
            start_dagster(settings, host="127.0.0.1", port=dagster_port, quiet=True),
        ]
        try:
            with out.status("starting API and Dagster / 正在启动服务"):
                answered = _answers(f"{api_url}/readyz", processes) and _answers(
                    f"{dagster_url}/server_info", processes
                )
            if not answered:
                out.print(
                    NOT_STARTED.format(log=dagster_log(settings), tail=_tail(dagster_log(settings))),
                    markup=False,
                    soft_wrap=True,
                )
                return 1
            out.print(WHAT_TO_TRY.format(api=api_url, dagster=dagster_url, key=key), highlight=False, soft_wrap=True)
            return _wait(processes)
        finally:
            _stop(processes)


NOT_STARTED = """\
error: a service did not start. The API writes above; the end of Dagster's log {log}:
服务未能启动:接口服务的输出见上方,Dagster 日志 {log} 的末尾如下:
{tail}"""

WHAT_TO_TRY = """
[bold]Running. Ctrl-C stops both. / 服务已启动,Ctrl-C 停止[/]

open   {dagster}   Dagster: assets, checks, schedule
open   {api}/docs   the API
key    {key}   a marketer's, for thirty days / 市场角色的密钥
try    curl -H 'Authorization: Bearer {key}' '{api}/v1/customers?limit=3'
try    curl -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -H 'Idempotency-Key: 1' \
            '{api}/v1/tag-groups/from-template' -d '{{"template": "spending_power"}}'    # smart tags / 智能标签
try    curl -H 'Authorization: Bearer {key}' '{api}/v1/tags'
try    cdp sql "select clinic_name, count(*) from dim_customer group by all order by 2 desc limit 5"
try    cdp status
read   docs/analysts.md for twenty questions with their SQL
"""


def start_dagster(settings: PipelineSettings, *, host: str, port: int, quiet: bool) -> subprocess.Popen[bytes]:
    """Start `dagster dev` on our code; its storage lies in the data directory."""
    home = settings.folders.dagster.resolve()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    environment = os.environ | dbt_variables(settings) | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    command = [*DAGSTER, "-m", "pipelines.definitions", "-h", host, "-p", str(port)]
    log = dagster_log(settings).open("wb") if quiet else None
    return subprocess.Popen(  # noqa: S603
        command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, process_group=0
    )


def dagster_log(settings: PipelineSettings) -> Path:
    """Where a Dagster that was started quietly writes."""
    return settings.folders.dagster.resolve() / "dagster.log"


def _tail(file: Path, *, lines: int = 20) -> str:
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _answers(url: str, processes: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  (our own loopback address)
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    return False


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Whoever asks us to stop asks our processes: they are groups of their own.

    Else a Ctrl-C would reach them twice, from the terminal and from us, and the second cuts their stopping short.
    """
    before = {asked: signal.signal(asked, lambda *_: sys.exit(0)) for asked in STOPS}
    try:
        yield
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)


def _wait(processes: list[subprocess.Popen[bytes]]) -> int:
    """Until one ends or somebody asks to stop."""
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.3)
        return next(process.returncode for process in processes if process.poll() is not None)
    finally:
        _stop(processes)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
