"""The door: which bodies reach a route, and what is said about the others."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.edge.body import BodyMiddleware
from api.main import create_app
from api.settings import ApiSettings
from api.strict_json import JsonLimits
from tests.api.hostile import HOSTILE_BODIES, Hostile
from tests.api.probe import found, probe_app, probe_client

JSON = {"content-type": "application/json"}
CAP = 256 * 1024


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return probe_client(tmp_path)


@pytest.mark.parametrize("hostile", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_a_hostile_body_never_reaches_a_route(client: TestClient, hostile: Hostile) -> None:
    answer = client.post("/probe/things", content=hostile.body, headers=JSON)

    assert answer.status_code == 400
    assert found(answer) == hostile.problems


def taken(app: FastAPI) -> tuple[int, list[tuple[str, str, str]]]:
    """How many operations with a JSON body there are, and which hostile bodies they do not refuse as they should."""
    client = TestClient(app)
    operations = [
        (method, str(route.path).translate({ord("{"): None, ord("}"): None}))
        for route in iter_route_contexts(app.routes)
        if getattr(route, "body_field", None) is not None
        for method in route.methods or ()
    ]
    wrong = []
    for method, path in operations:
        for name, hostile in HOSTILE_BODIES.items():
            answer = client.request(method, path, content=hostile.body, headers=JSON)
            if answer.status_code != 400 or found(answer) != hostile.problems:
                wrong.append((method, path, name))
    return len(operations), wrong


def test_no_operation_of_the_application_takes_a_hostile_body(tmp_path: Path) -> None:
    _, of_the_application = taken(create_app(ApiSettings(data_dir=tmp_path, rate_limit_per_address=0)))
    looked_at, of_the_probe = taken(probe_app(tmp_path))

    assert of_the_application == []
    assert of_the_probe == []
    assert looked_at >= 1


def padded(size: int) -> bytes:
    return b'{"name":"x"' + b" " * (size - 12) + b"}"


def test_a_body_is_taken_at_the_cap_and_refused_one_byte_above(client: TestClient) -> None:
    at_cap = client.post("/probe/things", content=padded(CAP), headers=JSON)
    above = client.post("/probe/things", content=padded(CAP + 1), headers=JSON)

    assert at_cap.status_code == 200
    assert above.status_code == 413
    assert found(above) == {("body_too_large", "")}


def chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def test_chunked_bodies_have_the_same_cap(client: TestClient) -> None:
    at_cap = client.post("/probe/things", content=chunks(padded(CAP)), headers=JSON)
    above = client.post("/probe/things", content=chunks(padded(CAP + 1)), headers=JSON)

    assert at_cap.status_code == 200
    assert (above.status_code, found(above)) == (413, {("body_too_large", "")})


def call(
    messages: list[Message], headers: dict[str, str] = JSON, *, method: str = "POST", path: str = "/x"
) -> tuple[list[Message], list[Message]]:
    """The middleware alone: what the application received and what was sent."""
    received: list[Message] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not received or received[-1].get("more_body"):
            received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    door = BodyMiddleware(app, JsonLimits(max_bytes=100), uploads={"/up": 1_000, "/albums/*/photos": 1_000})
    asyncio.run(door(scope, receive, send))
    return received, sent


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_content_length_that_says_too_much_is_refused_before_reading() -> None:
    unread = [part(b"{}")]

    received, sent = call(unread, headers={**JSON, "content-length": "101"})

    assert (received, sent[0]["status"], len(unread)) == ([], 413, 1)


@pytest.mark.parametrize("announced", ["9" * 30, "9" * 5_000])
def test_an_absurd_content_length_is_too_large(announced: str) -> None:
    assert call([part(b"")], headers={**JSON, "content-length": announced})[1][0]["status"] == 413


@pytest.mark.parametrize("announced", ["2", "-1", "two", ""])
def test_a_content_length_that_lies_is_not_believed(announced: str) -> None:
    body = b'"' + b"x" * 99 + b'"'

    received, sent = call([part(body[:50], True), part(body[50:])], headers={**JSON, "content-length": announced})

    assert (received, sent[0]["status"]) == ([], 413)


def test_reading_stops_at_the_cap() -> None:
    endless = [part(b"x" * 60, True) for _ in range(1_000)]

    call(endless)

    assert len(endless) == 998


def test_a_body_in_parts_reaches_the_application_whole() -> None:
    received, _ = call([part(b'{"a"', True), part(b"", True), part(b":1}")])

    assert received == [part(b'{"a":1}')]


def test_a_client_that_leaves_ends_the_request() -> None:
    received, sent = call([part(b"{", True), {"type": "http.disconnect"}])

    assert received == []
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/merge-patch+json",
    ],
)
def test_json_by_any_of_its_names_is_taken(content_type: str) -> None:
    assert call([part(b"{}")], headers={"content-type": content_type})[1][0]["status"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "*/*"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/jsonp"},
        {"content-type": "text/json"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_what_is_not_plain_json_is_no_body(headers: dict[str, str]) -> None:
    received, sent = call([part(b"{}")], headers=headers)

    assert (received, sent[0]["status"]) == ([], 415)


def test_two_content_types_are_none() -> None:
    received, sent = call([part(b"{}")], {"content-type": "application/json", "Content-Type": "text/plain"})

    assert (received, sent[0]["status"]) == ([], 415)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_method_without_body_takes_none(client: TestClient, method: str) -> None:
    answer = client.request(method, "/healthz", content=b"{}", headers=JSON)

    assert answer.status_code == 400
    assert method == "HEAD" or found(answer) == {("body_not_allowed", "")}


def test_an_empty_body_is_no_body() -> None:
    assert call([part(b"", True), part(b"")], method="GET")[1][0]["status"] == 200
    assert call([part(b"")], headers={"accept": "*/*"})[1][0]["status"] == 200


def test_a_route_that_wants_a_body_says_so_when_there_is_none(client: TestClient) -> None:
    answer = client.post("/probe/things")

    assert (answer.status_code, found(answer)) == (422, {("missing", "")})


def digest(client: TestClient, body: bytes) -> str:
    return str(client.post("/probe/things", content=body, headers=JSON).json()["digest"])


def test_the_digest_forgets_order_and_spaces_and_nothing_else(client: TestClient) -> None:
    same = [b'{"count":1,"name":"x"}', b' {"name" : "\\u0078",\n"count":1}', b'{"name":"x","count":1}']
    others = [
        b'{"count":2,"name":"x"}',
        b'{"count":1,"name":"X"}',
        b'{"count":1}',
        b'{"name":"x","count":1,"notes":""}',
    ]

    digests = {digest(client, body) for body in same}

    assert len(digests) == 1
    assert len(digests | {digest(client, body) for body in others}) == 5
    assert all(len(text) == 64 for text in digests)


def test_an_action_without_body_has_a_digest_too(client: TestClient) -> None:
    answer = client.post("/probe/things/x/close").json()

    assert len(answer["digest"]) == 64
    assert answer["body"] == ""


def test_the_application_reads_the_very_bytes_that_were_sent(client: TestClient) -> None:
    sent = b' {"b":1.00,\n"a":"\\u00e9"}'

    assert client.post("/probe/things/x/close", content=sent, headers=JSON).json()["body"] == sent.decode()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/healthz?a=1&a=2", ("repeated_parameter", "/query/a")),
        ("/healthz?a=%ff", ("not_utf8", "/query/a")),
        ("/healthz?a=%00", ("not_utf8", "/query/a")),
        ("/healthz?" + "x" * 9_000, ("query_too_long", "/query")),
        ("/v1/%ff", ("path_not_utf8", "")),
        ("/v1/a%00b", ("path_not_utf8", "")),
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused(
    client: TestClient, url: str, problem: tuple[str, str]
) -> None:
    answer = client.get(url)

    assert (answer.status_code, found(answer)) == (400, {problem})


PHOTO = {"content-type": "image/png"}


def test_an_upload_streams_through_under_its_own_cap() -> None:
    parts = [part(b"\0" * 500, True), part(b"\xff" * 500)]

    received, sent = call(list(parts), PHOTO, path="/up/photo")

    assert received == parts
    assert sent[0]["status"] == 200


def test_an_upload_above_its_cap_is_cut_off() -> None:
    received, sent = call([part(b"\0" * 500, True), part(b"\xff" * 501, True), part(b"")], PHOTO, path="/up/photo")

    assert received[-1] == {"type": "http.disconnect"}
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [413]
    assert json.loads(sent[1]["body"])["problems"][0]["code"] == "body_too_large"


def test_an_upload_that_announces_too_much_is_not_read() -> None:
    unread = [part(b"")]

    _, sent = call(unread, {**PHOTO, "content-length": "1001"}, path="/up/photo")

    assert (sent[0]["status"], len(unread)) == (413, 1)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-16"])
def test_json_sent_to_an_upload_is_read_as_strictly_as_anywhere(content_type: str) -> None:
    received, sent = call([part(b'{"a":1,"a":2}')], {"content-type": content_type}, path="/up/photo")

    assert received == []
    assert sent[0]["status"] in {400, 415}


def test_a_neighbour_of_an_upload_is_no_upload() -> None:
    assert call([part(b"x")], PHOTO, path="/uploads")[1][0]["status"] == 415


@pytest.mark.parametrize(
    ("path", "is_upload"),
    [
        ("/albums/7/photos", True),
        ("/albums/7/photos/1", True),
        ("/albums/7/8/photos", False),
        ("/albums//photos", False),
        ("/albums/7/photos-of-others", False),
        ("/old/albums/7/photos", False),
    ],
)
def test_an_upload_may_be_below_an_id_and_nowhere_else(path: str, is_upload: bool) -> None:
    assert call([part(b"x")], PHOTO, path=path)[1][0]["status"] == (200 if is_upload else 415)
