"""Customers from a table over HTTP: matched in the caller's reach, the others told by line, nothing of it kept."""

from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.permissions import Permission
from tests.api.access.people import once, other, store_of
from tests.api.probe import found
from tests.api.static_members.conftest import Merged
from tests.api.static_members.static import OF_CLINIC, TAGS, customers, job_of, make, members
from tests.api.static_members.test_static_routes import also_at, audited
from tests.api.uploads.tables import corner_to_corner, xlsx

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def send(
    client: TestClient,
    tag: int,
    content: bytes,
    headers: dict[str, str] | None = None,
    kind: str = CSV,
    of: str = "tag",
) -> Any:
    told = {**once(), "Content-Type": kind, **(headers or {})}
    return client.post(f"/v1/{of}s/{tag}/members/import", content=content, headers=told)


def column(*values: str) -> bytes:
    return "\n".join(values).encode()


def codes(job: dict[str, Any]) -> dict[int, str]:
    return {one["line"]: one["code"] for one in job["result"]["unmatched"]}


@pytest.mark.parametrize("of", ["tag", "segment"])
def test_ids_are_put_in_and_lines_that_mean_nobody_are_told_with_their_reason(client: TestClient, of: str) -> None:
    target, (a, b) = make(store_of(client), of), customers(client, 2)
    table = xlsx(("姓名", "客户编号"), ("唐三", a), ("小舞", "nobody"), (), ("=1+1", b), ("", a))

    job = job_of(client, send(client, target, table, kind=XLSX, of=of))

    assert members(store_of(client), target) == sorted([a, b])
    counts = {"added": 2, "already_in": 0, "not_seen": 0, "rows": 4, "matched": 2, "unmatched_count": 1}
    assert {name: job["result"][name] for name in counts} == counts
    (line,) = job["result"]["unmatched"]
    assert (line["line"], line["code"]) == (3, "unknown")
    assert line["message_zh"] and line["message_en"]
    (row,) = audited(client, f"{of}.members.add")
    assert row.after == {**counts, "how": "import", "column": "one_id"}


def test_medical_record_numbers_and_phones_mean_their_customers(
    client: TestClient, version: duckdb.DuckDBPyConnection
) -> None:
    by_number, by_phone = make(store_of(client)), make(store_of(client))
    query = """
        select one_id, medical_record_no, phone from dim_customer
        where medical_record_no is not null
            and phone in (select phone from dim_customer group by phone having count(*) = 1)
        order by customer_key limit 3
    """
    rows = version.execute(query).fetchall()
    numbers = column("病历号", *(number for _, number, _ in rows), "没有这个号")
    phones = column("手机号", *(_spelt(phone) for _, _, phone in rows), "138****0001", "12", "13900000000")

    jobs = [job_of(client, send(client, by_number, numbers)), job_of(client, send(client, by_phone, phones))]

    expected = sorted(one_id for one_id, _, _ in rows)
    assert members(store_of(client), by_number) == members(store_of(client), by_phone) == expected
    assert [codes(job) for job in jobs] == [{5: "unknown"}, {5: "not_a_phone", 6: "not_a_phone", 7: "unknown"}]


def test_a_landline_means_its_customers_however_the_table_spells_it(
    client: TestClient, version: duckdb.DuckDBPyConnection
) -> None:
    query = """
        select phone from dim_customer where regexp_full_match(phone, '0[0-9]{2,3}-[0-9]{8}')
        group by phone having count(*) > 1 order by phone
    """
    (landline, *_) = (phone for (phone,) in version.execute(query).fetchall())
    bare = landline.replace("-", "")
    table = column("手机号码", landline, bare, f"({bare[:3]}) {bare[3:]}", f"+86 {bare[1:]}", f"{bare[:-1]}x")

    job = job_of(client, send(client, make(store_of(client)), table))

    # A clinic's number stands on several files: whoever is found by it is not the only one.
    assert codes(job) == {**dict.fromkeys((2, 3, 4, 5), "ambiguous"), 6: "unknown"}


def _spelt(phone: str) -> str:
    return f"+86 {phone[:3]}-{phone[3:7]} {phone[7:]}" if phone.isdecimal() else phone


def test_a_phone_of_several_customers_means_none_of_them(
    client: TestClient, version: duckdb.DuckDBPyConnection
) -> None:
    tag = make(store_of(client))
    query = "select phone from dim_customer where phone is not null group by phone having count(*) > 1 order by 1"
    shared = version.execute(query).fetchall()
    assert shared, "families share a phone"

    job = job_of(client, send(client, tag, column("手机号码", shared[0][0])))

    assert codes(job) == {2: "ambiguous"}
    assert members(store_of(client), tag) == []


def test_phones_are_matched_only_for_who_sees_them_and_with_customers_whose_own_are_seen(
    client: TestClient, clinic_pair: Any, version: duckdb.DuckDBPyConnection
) -> None:
    clinic, _, _ = clinic_pair
    tag, headers = make(store_of(client)), other(client, permissions=TAGS)
    unique = """
        select one_id, phone, list_contains(clinic_ids, $clinic) as own from dim_customer
        where phone in (select phone from dim_customer group by phone having count(*) = 1) order by customer_key
    """
    rows = version.execute(unique, {"clinic": clinic}).fetchall()
    own, foreign = next(row for row in rows if row[2]), next(row for row in rows if not row[2])
    table = column("手机号码", own[1], foreign[1])

    refused = send(client, tag, table, headers)
    also_at(client, headers, clinic, Permission.CUSTOMER_PHONE_VIEW)
    job = job_of(client, send(client, tag, table, headers), headers)

    assert (refused.status_code, found(refused)) == (403, {("masked_field", "/body")})
    assert codes(job) == {3: "unknown"}
    assert members(store_of(client), tag) == [own[0]]


def test_a_clinic_imports_its_own_customers_only(client: TestClient, clinic_pair: Any) -> None:
    clinic, own, foreign = clinic_pair
    tag = make(store_of(client))
    headers = other(client, permissions=TAGS, clinic_id=clinic, data_scope=OF_CLINIC)

    job = job_of(client, send(client, tag, column("客户编号", foreign, own), headers), headers)

    assert codes(job) == {2: "unknown"}
    assert members(store_of(client), tag) == [own]


def test_ids_from_before_a_merge_mean_the_customer_of_now_once(merged: Merged, client: TestClient) -> None:
    tag = make(store_of(client))
    merged.merge()

    job = job_of(client, send(client, tag, column("客户编号", merged.lost, merged.kept)))

    assert (job["result"]["rows"], job["result"]["matched"], job["result"]["added"]) == (2, 1, 1)
    assert members(store_of(client), tag) == [merged.kept]


@pytest.mark.parametrize(
    ("content", "kind", "status", "problem"),
    [
        (b"", CSV, 422, ("empty_table", "/body")),
        (column("姓名", "唐三"), CSV, 422, ("no_known_column", "/body")),
        (b"PK\x03\x04", XLSX, 422, ("not_a_table", "/body")),
        (corner_to_corner(), XLSX, 422, None),
        (column("客户编号", *["C1"] * 100_001), CSV, 422, ("too_many_rows", "/body")),
        (b"%PDF", "application/pdf", 415, ("unsupported_media_type", "/header/Content-Type")),
        (b"{}", "application/json", 415, ("unsupported_media_type", "/header/Content-Type")),
        (b"x" * ((20 << 20) + 1), CSV, 413, None),
    ],
    ids=["empty", "no column", "no zip", "corner to corner", "too many rows", "pdf", "json", "too large"],
)
def test_what_is_no_table_of_ours_is_refused_and_changes_nothing(
    client: TestClient, content: bytes, kind: str, status: int, problem: tuple[str, str] | None
) -> None:
    tag = make(store_of(client))

    answer = send(client, tag, content, kind=kind)

    assert answer.status_code == status, answer.text
    assert problem is None or found(answer) == {problem}
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_table_is_not_read_for_a_tag_that_cannot_be_changed(client: TestClient) -> None:
    smart = make(store_of(client), is_smart=True)

    answers = [send(client, smart, b"PK\x03\x04"), send(client, 999, b"PK\x03\x04")]

    assert [found(answer) for answer in answers] == [
        {("audience_is_smart", "/path/tag_id")},
        {("tag_unknown", "/path/tag_id")},
    ]


def test_a_table_sent_twice_with_one_key_is_imported_once_and_another_table_is_refused(client: TestClient) -> None:
    tag, (a, b) = make(store_of(client)), customers(client, 2)
    key = {"Idempotency-Key": "table"}

    first = send(client, tag, column("客户编号", a), key)
    second = send(client, tag, column("客户编号", a), key)
    third = send(client, tag, column("客户编号", b), key)

    assert first.json() == second.json()
    assert found(third) == {("idempotency_key_reused", "/header/Idempotency-Key")}
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1
