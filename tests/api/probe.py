"""The real application with a few routes of no domain, to see what its edge lets through."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.testclient import TestClient
from pydantic import Field

from api.access.guard import public
from api.customers.schemas import Channel
from api.errors import ConflictError, NotAuthenticatedError
from api.main import create_app
from api.settings import ApiSettings
from api.shapes import Choice, Day, Input, Moment, QueryBool, QueryDay, QueryInt, Text
from segment_engine.problems import Problem
from segment_engine.runtime.published import DamagedPointerError

CRASH = "the secret of 唐三 13812340001"


class Compare(Input):
    kind: Literal["compare"]
    value: Annotated[int, Field(ge=0)]


class Group(Input):
    kind: Literal["group"]
    rules: list["Rule"]


Rule = Annotated[Compare | Group, Field(discriminator="kind")]


class Thing(Input):
    """One of each shape."""

    name: Annotated[str, Text(1, 10)] = "x"
    notes: Annotated[str, Text(0, 20, lines=True)] = ""
    raw: str = ""
    channel: Choice[Channel] = Channel.LEAD
    size: Literal["small", "large"] = "small"
    starts_on: Day | None = None
    at: Moment | None = None
    count: Annotated[int, Field(ge=0, le=100)] = 0
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    is_open: bool = False
    tags: Annotated[list[Annotated[str, Text(1, 5)]], Field(min_length=1, max_length=2)] | None = None
    settings: dict[str, int] | None = None
    rule: Rule | None = None


class ThingQuery(Input):
    limit: Annotated[int, QueryInt(1, 20)] = 5
    is_open: QueryBool | None = None
    on: QueryDay | None = None


def page(page: Annotated[int, QueryInt(1, 9)] = 1) -> int:
    return page


router = APIRouter(prefix="/probe")


@router.post("/things")
@public
def create(thing: Thing, request: Request) -> dict[str, Any]:
    return {"thing": thing.model_dump(mode="json"), "digest": request.state.body_digest}


@router.post("/things/{name}/close")
@public
async def close(name: str, request: Request) -> dict[str, Any]:
    return {"name": name, "digest": request.state.body_digest, "body": (await request.body()).decode()}


@router.get("/things")
@public
def search(query: Annotated[ThingQuery, Query()]) -> ThingQuery:
    return query


@router.get("/paged")
@public
def paged(page: Annotated[int, Depends(page)], name: str = "", flag: str = Query("", alias="is-flag")) -> list[Any]:
    return [page, name, flag]


@router.get("/counted/{number}")
@public
def counted(number: Annotated[int, QueryInt(1, 5)], more: Annotated[int, QueryInt(1, 5)] = 1) -> int:
    return number + more


@router.get("/crash")
@public
def crash(request: Request) -> None:
    request.state.actor = "employee:7"
    raise RuntimeError(CRASH)


class Panic(BaseException):
    """As Rust libraries raise it: no Exception."""


@router.get("/panic")
@public
async def panic() -> None:
    raise Panic(CRASH)


@router.get("/damaged")
@public
def damaged() -> None:
    raise DamagedPointerError(Path("CURRENT"), ValueError("x"))


@router.get("/conflict")
@public
def conflict() -> None:
    raise ConflictError(Problem("taken", "/name", "已存在", "Taken."))


@router.get("/private")
@public
def private() -> None:
    raise NotAuthenticatedError(Problem("not_authenticated", "", "请先登录", "Log in first."))


def probe_app(tmp_path: Path, **settings: Any) -> FastAPI:
    """The application with the routes above; it is never told how often it may be asked unless a test says so."""
    app = create_app(ApiSettings(data_dir=tmp_path, **{"rate_limit_per_address": 0, **settings}))
    app.include_router(router)
    return app


def probe_client(tmp_path: Path, **settings: Any) -> TestClient:
    return TestClient(probe_app(tmp_path, **settings))


def found(answer: Any) -> set[tuple[str, str]]:
    """Code and path of every problem of an answer, which must be a problem document in both languages."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = json.loads(answer.content)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["status"] == answer.status_code
    assert all(problem["message_zh"] and problem["message_en"] for problem in body["problems"])
    return {(problem["code"], problem["path"]) for problem in body["problems"]}
