"""What every request gets whatever happens to it: an id, a line in the log, headers, an answer."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.probe import CRASH, found, probe_client

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return probe_client(tmp_path)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since it was last asked for, one object per line."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_request_leaves_one_line(client: TestClient, lines: Lines) -> None:
    answer = client.get("/probe/counted/3?more=2")

    (line,) = lines()
    assert line.pop("milliseconds") >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("at"))
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": answer.headers["x-request-id"],
        "method": "GET",
        "route": "/probe/counted/{number}",
        "status": 200,
    }


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("POST", "/probe/things/13812340001/close", 200),
        ("GET", "/probe/things?on=13812340001", 422),
        ("GET", "/probe/things?13812340001=1", 422),
        ("GET", "/13812340001", 404),
        ("PUT", "/probe/things/13812340001/close", 405),
        ("GET", "/v1/13812340001%ff", 400),
        ("GET", "/probe/things?a=13812340001&a=13812340001", 400),
    ],
)
def test_no_line_names_a_person(
    client: TestClient, capsys: pytest.CaptureFixture[str], method: str, url: str, status: int
) -> None:
    assert client.request(method, url).status_code == status

    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert "13812340001" not in written
    assert "testclient" not in written


def test_a_crash_tells_the_caller_an_id_and_the_log_everything(client: TestClient, lines: Lines) -> None:
    answer = client.get("/probe/crash")

    crash, request = lines()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "trace_id": answer.headers["x-request-id"],
    }
    assert crash["level"] == "error"
    assert crash["request_id"] == request["request_id"] == answer.headers["x-request-id"]
    assert CRASH in crash["exception"]
    assert "Traceback" in crash["exception"]
    assert (request["status"], request["level"], request["actor"]) == (500, "error", "employee:7")


def test_a_panic_that_is_no_exception_is_an_answer_too(client: TestClient) -> None:
    answer = client.get("/probe/panic")

    assert (answer.status_code, answer.json()["trace_id"]) == (500, answer.headers["x-request-id"])


@pytest.mark.parametrize("given", ["abcdefgh", "0f8fad5b-d9cb-469f-a165-70867728950e", "A.b_c-1234", "x" * 64])
def test_a_sane_id_of_the_caller_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, 'abcdefgh"}', "abcdefgh\tx", "abcd efgh", "唐三唐三唐三".encode()]
)
def test_any_other_id_is_replaced(client: TestClient, given: str | bytes) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_two_ids_are_none(client: TestClient) -> None:
    answer = client.get("/healthz", headers=[("X-Request-ID", "abcdefgh"), ("X-Request-ID", "ijklmnop")])

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_ids_differ_and_do_not_stay_with_the_thread(client: TestClient, lines: Lines) -> None:
    ids = {client.get("/healthz").headers["x-request-id"] for _ in range(20)}
    lines()
    logging.getLogger("uvicorn.error").info("started")

    (line,) = lines()
    assert len(ids) == 20
    assert line["event"] == "started"
    assert "request_id" not in line


def test_lines_of_the_standard_library_cannot_be_forged(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pytest would collect the line too, and cannot send half a character to its other processes.
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [one for one in root.handlers if type(one).__module__ == "api.edge.logs"])
    logging.getLogger("anything").warning("name: %s", '张三\r\n{"level":"info"}\x1b[2J\u2028\ud800')

    (line,) = lines()
    assert line["level"] == "warning"
    assert line["event"].endswith("\ud800")


def test_the_access_log_of_uvicorn_is_off(client: TestClient, lines: Lines) -> None:
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /v1/customers?phone=13812340001"')

    assert lines() == []


def test_an_exception_logged_by_the_standard_library_is_one_line(client: TestClient, lines: Lines) -> None:
    logging.getLogger("anything").error("failed", exc_info=ValueError("line\nbreak"))

    (line,) = lines()
    assert "ValueError: line\nbreak" in line["exception"]


def test_what_an_http_client_tells_of_addresses_is_not_logged(client: TestClient, lines: Lines) -> None:
    logging.getLogger("httpx2").info("HTTP Request: GET https://example.com/?access_token=13812340001")

    assert lines() == []


def test_answers_are_neither_sniffed_nor_stored(client: TestClient) -> None:
    answers = [client.get("/v1/customers?limit=0"), client.get("/v1/nothing"), client.get("/healthz")]

    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert [answer.headers.get("cache-control") for answer in answers] == ["no-store", "no-store", None]


@pytest.mark.parametrize(
    ("method", "url", "status", "problem"),
    [
        ("GET", "/probe/conflict", 409, ("taken", "/name")),
        ("GET", "/probe/damaged", 503, ("damaged_pointer", "")),
        ("GET", "/probe/private", 401, ("not_authenticated", "")),
        ("GET", "/nothing", 404, ("not_found", "")),
        ("DELETE", "/probe/things", 405, ("method_not_allowed", "")),
    ],
)
def test_every_refusal_is_a_problem_document_with_the_request_id(
    client: TestClient, method: str, url: str, status: int, problem: tuple[str, str]
) -> None:
    answer = client.request(method, url)

    assert answer.status_code == status
    assert found(answer) == {problem}


def test_a_refusal_keeps_the_headers_that_belong_to_it(client: TestClient) -> None:
    assert client.get("/probe/private").headers["www-authenticate"] == "Bearer"
    assert client.delete("/probe/things").headers["allow"] in {"POST", "GET"}


def test_a_service_that_stops_is_not_ready_and_still_answers(client: TestClient) -> None:
    client.app.state.shutting_down = True  # type: ignore[attr-defined]

    assert found(client.get("/readyz")) == {("shutting_down", "")}
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
