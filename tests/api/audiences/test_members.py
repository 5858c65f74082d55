"""Who is in tags and segments: members now and then, sizes, the customer log, overlaps, one customer's own, and why."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.access.actors import Level, ScopeChannel
from api.audiences.calculation import SECONDS
from api.clock import now
from api.filters.evaluator import FilterEvaluator, Session
from api.storage.audiences import Calculation, Committed, NewVersion, commit_versions, current_versions
from api.storage.tables.audiences import audience_version
from segment_engine.runtime.limited import Budget
from tests.api.access.people import other, store_of
from tests.api.audiences.asking import (
    all_of,
    finished,
    in_segment,
    is_,
    log_entries,
    members,
    recalculated,
    send,
    smart_segment,
)
from tests.api.conftest import MakeClient
from tests.api.probe import found

WOMEN, MEN = all_of(is_("gender", "eq", "女")), all_of(is_("gender", "eq", "男"))
FROM_WECHAT = all_of({"kind": "attribute", "field": "is_fan", "operator": "is_true"})


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, with workers."""
    return make_client(published=True)


def a_clinics(client: TestClient) -> dict[str, str]:
    """Headers of somebody who sees the customers of one clinic."""
    listed = client.get("/v1/customers", params={"channel": "patient", "limit": "1"}).json()["customers"]
    scope = dict.fromkeys(ScopeChannel, Level.CLINIC)
    return other(client, permissions=("customer.view",), clinic_id=listed[0]["clinic_id"], data_scope=scope)


def search(client: TestClient, headers: dict[str, str] | None = None, **asked: Any) -> int:
    answer = client.post("/v1/customers/search", json={"limit": 1, **asked}, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["total"])


def republished(client: TestClient, segment: int, document: dict[str, Any]) -> None:
    place = f"/v1/segments/{segment}"
    tag = client.get(place).headers["etag"]
    made = send(client, "POST", f"{place}/publish", {"filter": document}, **{"If-Match": tag})
    finished(client, made["calculation"])


def test_a_changed_rule_moves_members_and_the_log_says_who_came_and_went(client: TestClient) -> None:
    segment = smart_segment(client, "性别", WOMEN)["id"]
    women, before = set(members(client, segment)), datetime.now(UTC)

    republished(client, segment, MEN)

    men = set(members(client, segment))
    assert women and men and not women & men
    assert set(members(client, segment, at=before.isoformat())) == women
    assert members(client, segment, at="2020-01-01T00:00:00+08:00") == []
    logged = log_entries(client, audience_id=str(segment))
    assert {(entry["one_id"], entry["change"], entry["definition"]) for entry in logged} == {
        *((one, "entered", 1) for one in women), *((one, "left", 2) for one in women),
        *((one, "entered", 2) for one in men),
    }  # fmt: skip
    assert len(logged) == 2 * len(women) + len(men)
    assert [entry["at"] for entry in logged] == sorted((entry["at"] for entry in logged), reverse=True)


def test_members_of_a_night_that_came_between_stay_though_a_job_began_before_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    store, session = store_of(client), FilterEvaluator.session
    nights: list[Committed] = []

    @contextmanager
    def night_comes(self: FilterEvaluator, budget: Budget | None = None, day: Any = None) -> Iterator[Session]:
        """A night is published and served behind the back of whoever has just opened the version before."""
        with session(self, budget, day) as opened:
            if budget is not None and budget.seconds == SECONDS and not nights:
                with store.read() as reading:
                    (current,) = current_versions(reading, [segment]).values()
                tomorrow = opened.pointer.as_of + timedelta(days=1)
                night = Calculation(f"{tomorrow:%Y%m%d}-01", tomorrow, datetime.now(UTC), "nightly", "system:nightly")
                tonight = NewVersion(segment, current.number, 1, current.member_count, 0, 0, "tonight")
                nights.append(store.write(lambda writing: commit_versions(writing, [tonight], night)))
            yield opened

    monkeypatch.setattr(FilterEvaluator, "session", night_comes)

    told = recalculated(client, [segment])

    assert [one.done for one in nights] == [[segment]]
    assert (told["calculated"], told["not_wanted"]) == ([], [segment])
    with store.read() as reading:
        assert current_versions(reading, [segment])[segment].trigger == "nightly"


def test_sizes_are_of_the_customers_whom_the_caller_sees(client: TestClient) -> None:
    segment, clinic = smart_segment(client, "女性", WOMEN)["id"], a_clinics(client)
    recalculated(client, [segment])

    all_sizes, of_clinic = (
        client.get(f"/v1/audiences/{segment}/calculations", headers=headers).json()["calculations"]
        for headers in ({}, clinic)
    )

    everybody, some = search(client, advanced=WOMEN), search(client, clinic, advanced=WOMEN)
    assert 0 < some < everybody
    assert [(one["number"], one["member_count"], one["entered"], one["left"]) for one in all_sizes] == [
        (2, everybody, 0, 0), (1, everybody, everybody, 0),
    ]  # fmt: skip
    assert [(one["member_count"], one["entered"]) for one in of_clinic] == [(some, 0), (some, some)]
    assert {one["operator_name"] for one in all_sizes} == {client.get("/v1/me").json()["name"]}
    page = client.get(f"/v1/audiences/{segment}/members", params={"limit": "1"}, headers=clinic).json()
    assert page["count"] == some


def test_the_log_is_filtered_by_what_happened_to_whom_and_by_whom(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    republished(client, segment, MEN)
    someone = client.post("/v1/customers/search", json={"advanced": MEN, "limit": 1}).json()["customers"][0]
    asked = {"audience_id": str(segment)}

    own = log_entries(client, **asked, one_id=someone["one_id"])
    by_hand = log_entries(client, **asked, trigger="staff")
    nobodys = log_entries(client, **asked, operator="nobody at all")
    by_name = log_entries(client, audience_name="女", change="left", kind="segment")
    too_late = log_entries(client, **asked, until="2020-01-02T00:00:00+08:00", since="2020-01-01T00:00:00+08:00")

    assert [(entry["change"], entry["trigger"], entry["audience"]["id"]) for entry in own] == [
        ("entered", "definition", segment)
    ]
    assert by_hand == nobodys == too_late == []
    assert len(by_name) == search(client, advanced=WOMEN)
    unknown = client.get("/v1/audiences/log", params={"one_id": "C0"})
    assert (unknown.status_code, found(unknown)) == (404, {("customer_unknown", "/query/one_id")})
    assert found(client.get("/v1/audiences/log", params={"cursor": "x"})) == {("invalid_cursor", "/query/cursor")}


@pytest.mark.parametrize("place", ["/v1/audiences/log", "/v1/customers/operations", "/v1/audit"])
def test_a_log_is_not_searched_between_moments_in_the_wrong_order(client: TestClient, place: str) -> None:
    answer = client.get(place, params={"since": "2026-11-02T00:00:00+08:00", "until": "2026-11-01T00:00:00+08:00"})

    assert (answer.status_code, found(answer)) == (422, {("moments_out_of_order", "/query/until")})
    assert answer.json()["problems"][0]["message_zh"] == "结束时间应晚于开始时间"


def test_overlaps_add_up(client: TestClient) -> None:
    women, fans = smart_segment(client, "女性", WOMEN)["id"], smart_segment(client, "粉丝", FROM_WECHAT)["id"]

    told = client.post("/v1/audiences/overlap", json={"ids": [women, fans]}).json()

    both = {"combinator": "and", "rules": [*WOMEN["rules"], *FROM_WECHAT["rules"]]}
    counted = {str(women): search(client, advanced=WOMEN), str(fans): search(client, advanced=FROM_WECHAT)}
    assert told["counts"] == counted
    assert told["all"] == search(client, advanced=both) > 0
    assert told["any"] == sum(counted.values()) - told["all"] == sum(part["count"] for part in told["parts"])
    parts = {tuple(part["ids"]): part["count"] for part in told["parts"]}
    assert parts[women, fans] == told["all"]
    unknown = client.post("/v1/audiences/overlap", json={"ids": [women, 999]})
    assert (unknown.status_code, found(unknown)) == (422, {("audience_unknown", "/ids/1")})


def test_a_customers_own_tags_and_segments_say_since_when_and_why(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    group = send(client, "POST", "/v1/tag-groups", {"is_smart": False, "name": "印象", "tags": [{"name": "怕疼"}]})
    tag = group["tags"][0]["id"]
    someone = client.post("/v1/customers/search", json={"advanced": WOMEN, "limit": 1}).json()["customers"][0]["one_id"]
    send(client, "POST", f"/v1/customers/{someone}/tags", {"tag_ids": [tag]})

    own = client.get(f"/v1/customers/{someone}/audiences").json()

    (tagged,), (inside,) = own["tags"], own["segments"]
    assert (tagged["audience"]["id"], tagged["audience"]["is_smart"], tagged["why"]) == (tag, False, None)
    assert tagged["added_by"] and tagged["since"] and tagged["audience"]["group_name"] == "印象"
    assert (inside["audience"]["id"], inside["added_by"]) == (segment, None)
    assert inside["since"] == inside["computed_at"]
    why = client.get(inside["why"]).json()
    assert (why["is_member"], why["explanation"]["holds"], why["definition"]) == (True, True, 1)
    static = client.get(f"/v1/customers/{someone}/audiences/{tag}/explanation")
    assert (static.status_code, found(static)) == (409, {("audience_not_smart", "/path/audience_id")})


def test_a_segment_is_asked_by_its_rule_or_by_its_last_run(make_client: MakeClient) -> None:
    client = make_client(published=True, settings={"job_workers": 0})
    made = send(client, "POST", "/v1/segments", {"is_smart": True, "name": "女性", "filter": WOMEN})
    through = send(
        client, "POST", "/v1/segments", {"is_smart": True, "name": "引用", "filter": all_of(in_segment(made["id"]))}
    )

    assert search(client, segment_ids=[made["id"]]) == 0
    assert search(client, segment_ids=[made["id"]], by_rule=True) == search(client, advanced=WOMEN) > 0
    # What a rule refers to is meant by its own last run, as when it is calculated alone.
    assert search(client, segment_ids=[through["id"]], by_rule=True) == 0


def test_only_what_can_be_calculated_is(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    static = send(client, "POST", "/v1/segments", {"is_smart": False, "name": "手工"})["id"]
    tag = client.get(f"/v1/segments/{segment}").headers["etag"]
    send(client, "POST", f"/v1/segments/{segment}/disable", None, **{"If-Match": tag})
    place, keys = "/v1/audiences/recalculation", ({"Idempotency-Key": f"k{number}"} for number in range(9))

    refused = client.post(place, json={"ids": [static, segment]}, headers=next(keys))
    unknown = client.post(place, json={"ids": [segment, 999]}, headers=next(keys))
    stranger = other(client, permissions=("customer.view",))
    forbidden = client.post(place, json={"ids": [segment]}, headers={**stranger, **next(keys)})

    assert (refused.status_code, found(refused)) == (
        409,
        {("audience_not_smart", "/ids/0"), ("audience_disabled", "/ids/1")},
    )
    assert (unknown.status_code, found(unknown)) == (422, {("audience_unknown", "/ids/1")})
    assert forbidden.status_code == 403


def test_who_is_lost_is_said_to_be_lost(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    folder = client.app.state.settings.folders.audiences  # type: ignore[attr-defined]
    for file in folder.glob("*/*.parquet"):
        file.unlink()
    fresh = client.app.state.filters.audiences  # type: ignore[attr-defined]
    fresh.forget()

    lost = client.get(f"/v1/audiences/{segment}/members")
    again = recalculated(client, [segment])

    assert (lost.status_code, found(lost)) == (409, {("members_lost", "")})
    assert again["calculated"][0]["member_count"] == len(members(client, segment)) > 0


def test_calculations_of_one_moment_are_all_in_the_log_page_by_page(client: TestClient) -> None:
    segment = smart_segment(client, "性别", WOMEN)["id"]
    republished(client, segment, MEN)
    women, men = search(client, advanced=WOMEN), search(client, advanced=MEN)
    # A night that somebody's calculation overtook takes that one's moment.
    same = update(audience_version).where(audience_version.c.audience_id == segment).values(computed_at=now())
    store_of(client).write(lambda connection: connection.execute(same))

    logged = log_entries(client, audience_id=str(segment))

    assert len(logged) == 2 * women + men
    definitions = [entry["definition"] for entry in logged]
    assert definitions == sorted(definitions, reverse=True)


def test_nobody_is_asked_why_whose_clinics_are_all_left_out(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    clinic = next(one for one in client.get("/v1/clinics").json()["clinics"] if not one["is_headquarters"])
    asked = {"clinic_id": clinic["clinic_id"], "limit": 200}
    whose = [one["one_id"] for one in client.get("/v1/customers", params=asked).json()["customers"]]
    ended = {"status": "ended", "since": "2020-01-01"}
    send(client, "PUT", f"/v1/clinics/{clinic['clinic_id']}/service", ended, **{"If-Match": '"1"'})

    answers = [client.get(f"/v1/customers/{one}/audiences/{segment}/explanation") for one in whose[:20]]

    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {answer.status_code for answer in refused} == {422}
    assert all(found(answer) == {("of_excluded_clinics", "/path/one_id")} for answer in refused)


def test_why_is_told_by_a_rule_that_counts_only(client: TestClient) -> None:
    segment = smart_segment(client, "女性", WOMEN)["id"]
    drafted = send(client, "POST", "/v1/segments", {"is_smart": True, "name": "以后"})["id"]
    send(client, "POST", f"/v1/segments/{segment}/disable", None, **{"If-Match": '"1"'})
    someone = client.get("/v1/customers", params={"limit": "1"}).json()["customers"][0]["one_id"]

    disabled, unpublished = (
        client.get(f"/v1/customers/{someone}/audiences/{one}/explanation") for one in (segment, drafted)
    )

    assert (disabled.status_code, found(disabled)) == (409, {("audience_disabled", "/path/audience_id")})
    assert (unpublished.status_code, found(unpublished)) == (409, {("audience_not_published", "/path/audience_id")})
