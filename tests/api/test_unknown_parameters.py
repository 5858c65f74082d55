"""A query parameter that no route knows is refused on every route."""

from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from api.access.guard import access_of, public
from tests.api.conftest import MakeClient
from tests.api.probe import found, probe_app, probe_client


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return probe_client(tmp_path)


def answers_to_an_unknown_parameter(client: TestClient, app: FastAPI) -> dict[str, tuple[int, bool]]:
    answers = {}
    for route in iter_route_contexts(app.routes):
        access = access_of(route.endpoint) if isinstance(route.original_route, APIRoute) else None
        if access is not None and not access.patients:
            path = str(route.path).translate({ord("{"): None, ord("}"): None})
            for method in route.methods or ():
                answer = client.request(method, f"{path}?no_such=1", headers={"content-type": "application/json"})
                refused = answer.status_code == 422 and ("extra_forbidden", "/query/no_such") in found(answer)
                answers[f"{method} {path}"] = (answer.status_code, refused)
    return answers


def test_every_operation_refuses_it(make_client: MakeClient, tmp_path: Path) -> None:
    client, probe = make_client(), probe_app(tmp_path)
    # The application's own routes are asked by somebody who may do everything; the probe's are open.
    answers = answers_to_an_unknown_parameter(TestClient(probe), probe)
    answers |= answers_to_an_unknown_parameter(client, client.app)  # type: ignore[arg-type]

    assert {"GET /v1/customers", "GET /healthz", "POST /probe/things", "GET /probe/paged"} <= answers.keys()
    assert {operation: answer for operation, answer in answers.items() if not answer[1]} == {}


@pytest.mark.parametrize(
    "url", ["/probe/paged?page=2&name=x&is-flag=1", "/probe/things?limit=1&is_open=true", "/probe/counted/1?more=2"]
)
def test_what_a_route_a_model_or_a_dependency_declares_is_known(client: TestClient, url: str) -> None:
    assert client.get(url).status_code == 200


def test_the_name_in_python_is_no_name_in_the_query(client: TestClient) -> None:
    assert found(client.get("/probe/paged?flag=1")) == {("extra_forbidden", "/query/flag")}


def test_it_is_told_together_with_what_else_is_wrong(client: TestClient) -> None:
    paged = client.get("/probe/paged?page=0&colour=red&size=1")
    things = client.get("/probe/things?limit=0&colour=red")
    counted = client.get("/probe/counted/9?more=x&colour=red")

    assert found(paged) == {
        ("extra_forbidden", "/query/colour"),
        ("extra_forbidden", "/query/size"),
        ("greater_than_equal", "/query/page"),
    }
    assert found(things) == {("extra_forbidden", "/query/colour"), ("greater_than_equal", "/query/limit")}
    assert found(counted) == {
        ("extra_forbidden", "/query/colour"),
        ("less_than_equal", "/path/number"),
        ("int_parsing", "/query/more"),
    }
    assert len(things.json()["problems"]) == 2


def test_one_router_under_two_prefixes_has_two_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = probe_app(tmp_path)
    router = APIRouter()

    @router.get("/{name}")
    @public
    def read(name: str, more: int = 0) -> str:
        return name

    app.include_router(router, prefix="/first")
    app.include_router(router, prefix="/second")
    client = TestClient(app)

    assert [client.get(f"/{prefix}/x?more=1").status_code for prefix in ("first", "second")] == [200, 200]
    assert found(client.get("/second/x?less=1")) == {("extra_forbidden", "/query/less")}
    written = capsys.readouterr().err
    assert '"/first/{name}"' in written
    assert '"/second/{name}"' in written
