from datetime import date

import pytest

from pipelines.ingest.contracts import (
    InvalidContract,
    contract_from_mapping,
    contract_to_mapping,
    load_contracts,
    raw_table_name,
    raw_type,
)

GOOD = """
source: shop
table: sales
schema_version: 1
grain: One row per sale.
key: [sale_id]
version: updated_at
erasure: erase
subjects: [{patient: [buyer_id]}]
columns:
  buyer_id: {type: text, zh: 买家}
  sale_id: {type: text, required: true, zh: 编号}
  amount: {type: money, unit: yuan, min: 0, zh: 金额}
  colour: {type: option, allowed: [红, 蓝], zh: 颜色}
  updated_at: {type: datetime, required: true, zh: 更新时间}
"""
LATE = "late_arrival: {column: updated_at, accept_days: 30}"


def read(tmp_path, text):
    (tmp_path / "shop").mkdir(exist_ok=True)
    (tmp_path / "shop" / "sales.yml").write_text(text, encoding="utf-8")
    load_contracts.cache_clear()
    try:
        return load_contracts(tmp_path)["shop", "sales"]
    finally:
        load_contracts.cache_clear()


def test_every_contract_of_the_platform_loads_and_survives_the_way_to_the_parser():
    contracts = load_contracts()

    assert len(contracts) == 41
    for contract in contracts.values():
        assert contract_from_mapping(contract_to_mapping(contract), name="copy") == contract


def test_a_contract_reads_as_typed_columns():
    patients = load_contracts()["saas", "patients"]

    assert raw_table_name(patients) == "saas__patients"
    assert patients.key == ("patient_id",)
    assert patients.column("birth_date").min == date(1900, 1, 1)
    assert raw_type(patients.column("birth_date")) == "date"
    assert patients.column("gender").allowed == ("男", "女", "未知")


def test_a_late_rule_stands_where_rows_are_appended_and_nowhere_else(tmp_path):
    appended = read(tmp_path, GOOD.replace("version: updated_at", f"time: updated_at\n{LATE}"))

    assert appended.late_arrival.accept_days == 30
    assert all((contract.late_arrival is None) == (contract.time is None) for contract in load_contracts().values())


def test_a_good_contract_is_accepted(tmp_path):
    assert read(tmp_path, GOOD).column("amount").unit == "yuan"


@pytest.mark.parametrize(
    ("written", "instead", "fault"),
    [
        ("grain:", "grian:", "unknown key 'grian'"),
        ("zh: 金额", "chinese: 金额", "unknown key 'chinese'"),
        ("key: [sale_id]", "key: [sale_no]", "key column 'sale_no' is no column"),
        ("version: updated_at", "version: paid_at", "version must name a column"),
        ("version: updated_at", "time: updated_at\nversion: updated_at", "exactly one of version and time"),
        ("type: money, unit: yuan", "type: money", "has the unit fen or yuan"),
        ("type: money", "type: decimal", "type must be one of"),
        ("min: 0", "min: 0.5", "min must be a whole number"),
        ("[红, 蓝]", "[红, 红]", "allowed values repeat"),
        ("[红, 蓝]", "[Ａ, 蓝]", "must be NFKC-normalised"),
        ("allowed: [红, 蓝], ", "", "an option lists its allowed values"),
        ("version: updated_at", f"version: updated_at\n{LATE}", "late_arrival is for append-only tables"),
        ("version: updated_at", f"time: updated_at\n{LATE.replace('30', '0')}", "late_arrival must give"),
        ("version: updated_at", f"time: updated_at\n{LATE.replace('updated', 'sold')}", "must name the table's time"),
        ("required: true, zh: 编号", "zh: 编号", "must be required"),
        ("source: shop", "source: shops", "but lies at"),
        ("schema_version: 1", "schema_version: 1\nschema_version: 2", "duplicate key"),
        ("erasure: erase\n", "", "erasure is missing"),
        ("erasure: erase", "erasure: forget", "erasure must be one of"),
        ("erasure: erase", "erasure: none", "subjects are given exactly when"),
        ("{patient: [buyer_id]}", "{patient: [a, b]}", "subjects must be a list of entries like"),
        ("{patient: [buyer_id]}", "{buyer: [buyer_id]}", "subjects must be a list of entries like"),
        ("{patient: [buyer_id]}", "{patient: [amount]}", "must be a text column"),
        ("erasure: erase", "references: [{wecom_contact: [buyer_id, sale_id]}]\nerasure: erase", "several columns"),
    ],
)
def test_a_faulty_contract_is_refused_with_its_reason(tmp_path, written, instead, fault):
    assert written in GOOD

    with pytest.raises(InvalidContract, match=fault):
        read(tmp_path, GOOD.replace(written, instead, 1))


def test_all_faults_of_a_contract_are_told_at_once(tmp_path):
    text = GOOD.replace("type: money", "type: coin").replace("[红, 蓝]", "红")

    with pytest.raises(InvalidContract) as caught:
        read(tmp_path, text)

    assert len(caught.value.faults) == 2
