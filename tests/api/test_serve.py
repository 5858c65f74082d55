"""`cdp serve` as a process: what the server says about itself, what it logs, how it stops."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Served:
    process: subprocess.Popen[str]
    port: int

    def get(self, path: str, **options: Any) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, **options)
        return connection.getresponse()

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer

    def stop(self) -> list[dict[str, Any]]:
        """Ask it to stop, wait for it, and return every line it logged."""
        self.process.send_signal(signal.SIGTERM)
        return [json.loads(line) for line in self.process.communicate(timeout=30)[1].splitlines()]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    processes: list[subprocess.Popen[str]] = []

    def start(**settings: str) -> Served:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CDP_DATA_DIR": str(tmp_path / "data"), **settings}
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "serve", "--port", str(port)],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        served = Served(process, port)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                served.get("/healthz")
            except OSError:
                time.sleep(0.05)
            else:
                return served
        raise AssertionError("the API did not start")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_it_names_no_server_and_logs_only_json_without_addresses(serve: Callable[..., Served]) -> None:
    served = serve()

    answer = served.get("/v1/13812340001?phone=13812340001", headers={"X-Request-ID": "my-request-1"})
    lines = served.stop()

    assert answer.status == 404
    assert answer.headers["server"] is None
    assert answer.headers["x-request-id"] == "my-request-1"
    assert {"Application startup complete.", "request", "Shutting down"} <= {line["event"] for line in lines}
    assert [line["status"] for line in lines if line.get("request_id") == "my-request-1"] == [404]
    assert "13812340001" not in json.dumps(lines)
    assert all(line["at"].endswith("Z") and line["level"] for line in lines)


def test_requests_that_only_a_socket_can_send_are_refused(serve: Callable[..., Served]) -> None:
    served = serve()
    head = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    big = (
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 9
    )

    assert served.raw(b"GET /healthz?a=\xe4\xb8\xad" + head + b"\r\n").startswith(b"HTTP/1.1 400")
    assert served.raw(b"GET /\xe4\xb8\xad" + head + b"\r\n").startswith(b"HTTP/1.1 400")
    assert served.raw(b"GET /%ff" + head + b"\r\n").startswith(b"HTTP/1.1 400")
    assert served.raw(b"POST /healthz" + head + big).startswith(b"HTTP/1.1 413")
    assert served.raw(b"POST /healthz" + head + b"Content-Length: 99999999\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert served.raw(b"GET /healthz" + head + b"Content-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 400")
    assert served.get("/healthz").status == 200
    assert [line for line in served.stop() if line["level"] == "error"] == []


def test_a_client_that_leaves_in_the_middle_of_a_body_harms_nobody(serve: Callable[..., Served]) -> None:
    served = serve()

    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
    healthy = served.get("/healthz").status
    lines = served.stop()

    assert healthy == 200
    assert [line["status"] for line in lines if line.get("method") == "POST"] == [400]
    assert [line for line in lines if line["level"] == "error"] == []


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"CDP_ENVIRONMENT": "production"}, "cdp db upgrade"),
        ({"CDP_DATABASE_URL": "nonsense"}, "CDP_DATABASE_URL"),
        ({"CDP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "does not answer"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, settings: dict[str, str], hint: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CDP_DATA_DIR": str(tmp_path / "data"), **settings}
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--port", "1"]

    ended = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 3
    assert ended.stderr.startswith("error ")
    assert hint in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_stopping_api_says_so_before_it_closes_its_doors(serve: Callable[..., Served]) -> None:
    served = serve(CDP_DRAIN_SECONDS="3")

    served.process.send_signal(signal.SIGTERM)
    codes: set[str] = set()
    deadline = time.monotonic() + 2.5
    while "shutting_down" not in codes and time.monotonic() < deadline:
        codes = {problem["code"] for problem in json.loads(served.get("/readyz").read())["problems"]}
    healthy = served.get("/healthz").status
    served.process.wait(timeout=20)

    assert codes == {"shutting_down"}
    assert healthy == 200
    with pytest.raises(ConnectionRefusedError):
        served.get("/healthz")
