"""A decision by hand from the API to what is published, and back."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from pipelines.nightly import RunRecord, run_night
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import open_current
from tests.api.conftest import bearer, make_actor
from tests.erasure.first_night import DAY, SEGMENT_ROWS, clock
from tests.parsed import LendParsed

DECIDED, REVOKED = DAY + timedelta(days=1), DAY + timedelta(days=2)
WALTER, ZOE = "patient:saas:walter-patient", "patient:saas:zoe-patient"


@dataclass
class Life:
    """The customer of each identity before, decided and revoked; the nights, and what the API told of it."""

    before: dict[str, str]
    decided: dict[str, str]
    restored: dict[str, str]
    nights: list[RunRecord]
    merge: str
    events: list[dict[str, Any]]
    old_id: int
    last_event: dict[str, Any]
    previewed: list[tuple[Any, ...]]
    logged: list[tuple[Any, ...]]


def customers(settings: PipelineSettings) -> dict[str, str]:
    with open_current(settings.folders, timezone="Asia/Shanghai")[0] as con:
        return dict(con.execute("select identity_key, one_id from marts.dim_identity").fetchall())


@pytest.fixture(scope="module")
def life(chain_night: Path, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    root = tmp_path_factory.mktemp("overrides") / "data"
    shutil.copytree(chain_night, root)
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)
    app = create_app(ApiSettings(data_dir=root, rate_limit_per_address=0, job_workers=1))
    with pytest.MonkeyPatch.context() as patch, TestClient(app) as client:
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", SEGMENT_ROWS)
        client.headers.update(bearer(make_actor(app.state.database)))
        before = customers(settings)
        noon = clock(DECIDED).now() - timedelta(hours=12)
        patch.setattr("api.dependencies.now", lambda: noon)
        previewed = preview(client, kind="merge", key=WALTER, other_key=ZOE)
        made = post(client, "", kind="merge", key=WALTER, other_key=ZOE)
        nights = [run_night(settings, as_of=DECIDED, clock=clock(DECIDED))]
        decided = customers(settings)
        with duckdb.connect(str(settings.folders.warehouse), read_only=True) as con:
            query = "select event, key, from_id, to_id from identity.event where night = ? order by seq"
            logged = con.execute(query, [DECIDED]).fetchall()
        events = history(client, decided[ZOE])
        old_id = client.get(f"/v1/customers/{before[ZOE]}/identities").status_code
        patch.setattr("api.dependencies.now", lambda: noon + timedelta(days=1))
        post(client, f"/{made.json()['id']}/revocation", if_match=made.headers["etag"])
        nights.append(run_night(settings, as_of=REVOKED, clock=clock(REVOKED)))
        last = history(client, before[ZOE])[0]
        restored, merge = customers(settings), made.json()["id"]
        yield Life(before, decided, restored, nights, merge, events, old_id, last, previewed, logged)
    shutil.rmtree(root)


def post(client: TestClient, path: str, *, if_match: str = "", **body: Any) -> Any:
    headers = {"Idempotency-Key": repr(sorted(body.items())).encode().hex()[:100] + path, "If-Match": if_match}
    answer = client.post(f"/v1/identity/overrides{path}", json={"reason": "测试", **body}, headers=headers)
    assert answer.is_success, answer.text
    return answer


def preview(client: TestClient, **body: Any) -> list[tuple[Any, ...]]:
    """The events that the API foretells."""
    place = post(client, "/preview", **body).headers["location"]
    deadline = time.monotonic() + 60
    while (job := client.get(place).json())["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert job["status"] == "succeeded", job
    assert job["result"]["gone_events"] == []
    return [(one["event"], one["key"], one["from_id"], one["to_id"]) for one in job["result"]["events"]]


def history(client: TestClient, one_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/customers/{one_id}/identity-events").json()["events"]
    return found


def test_what_is_decided_today_is_published_by_tonight(life: Life) -> None:
    assert life.nights[0].status == "succeeded"
    assert life.before[WALTER] != life.before[ZOE]
    assert life.decided[WALTER] == life.decided[ZOE]
    untouched = [key for key in life.before if "canary" in key]
    assert [life.decided[key] for key in untouched] == [life.before[key] for key in untouched]
    facts = next(step["facts"] for step in life.nights[0].steps if step["name"] == "identity")
    assert facts["operator rows"] == 1


def test_what_the_preview_foretold_is_what_the_night_logged(life: Life) -> None:
    assert life.previewed == life.logged
    assert "ID_MERGED" in {event for event, *_ in life.previewed}


def test_the_history_names_the_decision_and_an_older_id_still_leads_to_the_customer(life: Life) -> None:
    tonight = [one for one in life.events if one["event"] in ("MOVED", "ID_MERGED")]

    assert {one["override_id"] for one in tonight} == {life.merge}
    assert life.old_id == 200


def test_revoked_it_is_as_before_with_the_former_ids(life: Life) -> None:
    assert life.nights[1].status == "succeeded"
    assert life.restored == life.before
    assert life.last_event["override_id"] == life.merge
