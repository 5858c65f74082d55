"""`/v1/customers/columns`: everybody's own columns, with picture, nickname and name always in sight."""

from typing import Any

from fastapi.testclient import TestClient

from tests.api.access.people import audited, other
from tests.api.conftest import MakeClient

COLUMNS = "/v1/customers/columns"
CHOSEN = {"pinned": ["name", "nickname", "city"], "others": ["phone", "patient_remark"]}
# S003 3.1, as the product document lists them.
LISTED = [
    "上次就诊时间", "生日", "城市", "性别", "手机号码", "病历号", "所属机构", "患者类型", "来源一级", "来源二级",
    "来源三级", "初诊时间", "患者备注", "网电咨询师", "咨询师", "上次就诊医生", "责任医生", "专属客服",
]  # fmt: skip


def save(client: TestClient, body: dict[str, Any], version: int, **more: Any) -> Any:
    return client.put(COLUMNS, json=body, headers={"If-Match": f'"{version}"', **more})


def test_every_column_of_the_product_document_can_be_chosen(make_client: MakeClient) -> None:
    told = make_client().get(COLUMNS).json()

    assert told["is_default"] is True
    assert told["pinned"] == ["nickname", "name"]
    assert [one["label_zh"] for one in told["available"]][2:20] == LISTED
    assert {one["name"] for one in told["available"] if one["always_pinned"]} == {"nickname", "name"}
    assert {one["name"] for one in told["available"] if not one["sortable"]} == {"channels"}


def test_a_role_that_sees_a_field_masked_cannot_sort_by_it(make_client: MakeClient) -> None:
    told = make_client(permissions=("customer.view",)).get(COLUMNS).json()

    sortable = {one["name"] for one in told["available"] if one["sortable"]}
    assert sortable & {"name", "nickname", "phone", "id_number", "patient_remark", "responsible_doctor_name"} == set()
    assert {"city", "last_visit_at"} <= sortable


def test_chosen_columns_are_kept_for_their_owner_alone(make_client: MakeClient) -> None:
    client = make_client(published=True)

    saved = save(client, CHOSEN, 0)

    assert saved.status_code == 200
    assert saved.headers["ETag"] == '"1"'
    again = client.get(COLUMNS)
    assert {name: again.json()[name] for name in CHOSEN} == CHOSEN
    assert again.headers["ETag"] == '"1"'
    assert again.json()["is_default"] is False
    assert client.get(COLUMNS, headers=other(client)).json()["is_default"] is True
    shown = client.post("/v1/customers/search", json={"limit": 1}).json()["customers"][0]
    assert shown.keys() == {"one_id", "avatar_url", "nickname", "name", "city", "phone", "patient_remark"}
    assert audited(client)[-1]["action"] == "customer_list.columns"


def test_an_edit_of_a_stale_version_is_refused(make_client: MakeClient) -> None:
    client = make_client()
    save(client, CHOSEN, 0)

    stale, blind = save(client, CHOSEN, 0), client.put(COLUMNS, json=CHOSEN)

    assert (stale.status_code, blind.status_code) == (412, 428)
    assert save(client, CHOSEN, 1).headers["ETag"] == '"2"'


def test_nickname_and_name_cannot_be_let_go(make_client: MakeClient) -> None:
    answer = save(make_client(), {"pinned": ["city"], "others": ["name", "city"]}, 0)

    assert answer.status_code == 422
    assert [(one["code"], one["path"]) for one in answer.json()["problems"]] == [
        ("always_pinned", "/pinned"),
        ("always_pinned", "/pinned"),
        ("repeated_item", "/others/1"),
    ]
