"""The filter catalogue: what the published metadata offers, and that metadata which contradicts itself is refused."""

import copy
import json
from typing import Any

import duckdb
import pytest

from pipelines.settings import PipelineSettings
from segment_engine.catalog import Catalog, CatalogError, Child, Dictionary, Field, OfferedMetric, read_catalog
from segment_engine.operators import FieldType
from segment_engine.runtime.published import read_pointer
from segment_engine.tree import Metric

HELD_AS = {
    FieldType.TEXT: ("VARCHAR",),
    FieldType.OPTION: ("VARCHAR",),
    FieldType.OPTIONS: ("VARCHAR[]",),
    FieldType.INTEGER: ("INTEGER", "BIGINT"),
    FieldType.MONEY: ("BIGINT",),
    FieldType.DECIMAL: ("DECIMAL",),
    FieldType.BOOLEAN: ("BOOLEAN",),
    FieldType.DATE: ("DATE",),
    FieldType.DATETIME: ("TIMESTAMP WITH TIME ZONE",),
}


@pytest.fixture(scope="module")
def catalog(night: PipelineSettings) -> Catalog:
    pointer = read_pointer(night.folders)
    assert pointer is not None
    return read_catalog(json.loads((night.folders.published / pointer.catalog_file).read_text(encoding="utf-8")))


def test_the_published_catalogue_offers_what_the_seed_filters_by(catalog: Catalog) -> None:
    assert catalog.customers == "marts.dim_customer"
    gender, appointment = catalog.attributes["gender"], catalog.sources["appointment"]
    assert gender == Field(
        "gender", FieldType.OPTION, "性别", "Gender", ("客户资料", "基本资料", "性别"), ("男", "女", "未知")
    )
    assert (appointment.time, appointment.known_at, appointment.leading) == ("scheduled_at", "created_at", "status")
    assert appointment.fields["clinic_id"].options_from == Dictionary("marts.dim_clinic", "clinic_id", "clinic_name")
    assert OfferedMetric(Metric.COUNT, None, "预约总次数", "Appointments") in appointment.metrics
    assert catalog.attributes["age"].is_current_only
    assert catalog.attributes["clinic_ids"].child == Child("marts.customer_clinic", "clinic_id", "customer_key")
    assert catalog.sources["treatment_suggestion"].fields["symptoms"].child == Child(
        "marts.fct_treatment_suggestion_symptom", "symptom", "suggestion_id"
    )
    assert {source.category[0] for source in catalog.sources.values()} == {
        "客户资料", "客户线上行为", "就诊记录", "交易记录", "健康档案", "客户资产", "线索",
    }  # fmt: skip


def test_every_field_is_a_published_column_of_its_type(catalog: Catalog, night: PipelineSettings) -> None:
    pointer = read_pointer(night.folders)
    assert pointer is not None
    tables = {source.table: source.fields for source in catalog.sources.values()}
    tables[catalog.customers] = catalog.attributes
    with duckdb.connect(str(night.folders.published / pointer.file), read_only=True) as con:
        held = {
            (f"{schema}.{table}", column): kind
            for schema, table, column, kind in con.execute(
                "select schema_name, table_name, column_name, data_type from duckdb_columns()"
            ).fetchall()
        }

    for table, fields in tables.items():
        assert (table, "customer_key") in held
        for field in fields.values():
            assert held[table, field.name].startswith(HELD_AS[field.type]), (table, field.name)


def published() -> dict[str, Any]:
    """A small catalogue without a fault."""
    words = {"label_zh": "字", "label_en": "word"}
    three = ["一", "二", "三"]

    def column(name: str, type_: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "meta": {"filter": {**words, "type": type_, **more}}}

    def table(name: str, *columns: dict[str, Any], **meta: Any) -> dict[str, Any]:
        return {"schema": "marts", "name": name, "meta": meta, "columns": list(columns)}

    activity = {"name": "visit", "category": three, "time": "at", **words}
    activity["metrics"] = [{**words, "metric": "sum", "field": "paid"}]
    return {
        "format": 1,
        "tables": [
            table("people", column("city", "text", category=three), {"name": "note", "meta": {}}),
            table(
                "visits",
                column("at", "datetime"),
                column("paid", "money"),
                column("items", "options", child={"model": "visit_items", "column": "item", "key": "visit_id"}),
                column("doctor", "option", options_from={"model": "staff", "value": "id", "label": "id"}),
                {"name": "visit_id", "meta": {}},
                activity=activity,
            ),
            table("visit_items", {"name": "item", "meta": {}}, {"name": "visit_id", "meta": {}}),
            table("staff", {"name": "id", "meta": {}}),
        ],
    }


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("format",), 2, "format 2"),
        (("tables", 0, "columns", 0, "meta", "filter", "type"), "float", "type 'float'"),
        (("tables", 0, "columns", 0, "meta", "filter", "category"), ["一"], "should have 3 levels"),
        (("tables", 0, "columns", 0, "meta", "filter", "label_en"), "", "label_en is missing"),
        (("tables", 0, "columns"), [], "fields of the customer are in one table"),
        (("tables", 1, "columns", 0, "meta", "filter", "category"), ["一"], "should have 0 levels"),
        (("tables", 1, "columns", 2, "meta", "filter", "child", "column"), "x", "visit_items.x is not published"),
        (("tables", 1, "columns", 2, "meta", "filter", "child", "key"), "item", "visits.item is not published"),
        (("tables", 1, "columns", 3, "meta", "filter", "type"), "options", "visits.doctor: type options needs a child"),
        (("tables", 1, "columns", 3, "meta", "filter", "options_from", "model"), "x", "x.id is not published"),
        (("tables", 1, "meta", "activity", "time"), "paid", "time paid is no field with a date"),
        (("tables", 1, "meta", "activity", "known_at"), "nope", "known_at nope"),
        (("tables", 1, "meta", "activity", "leading"), "paid", "leading paid is no field with an option or a text"),
        (("tables", 1, "meta", "activity", "category"), ["一"], "should have 3 levels"),
        (("tables", 1, "meta", "activity", "metrics", 0, "field"), "nope", "is of nope, which is no field"),
        (("tables", 1, "meta", "activity", "metrics", 0, "field"), "doctor", "cannot be of doctor, which is option"),
    ],
    ids=lambda part: str(part)[:60],
)
def test_metadata_that_contradicts_itself_is_refused_naming_the_place(
    path: tuple[str | int, ...], value: Any, fault: str
) -> None:
    assert set(read_catalog(published()).sources) == {"visit"}
    document = copy.deepcopy(published())
    holder: Any = document
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value

    with pytest.raises(CatalogError, match=fault):
        read_catalog(document)


def test_options_are_normalised_as_stored_values_are() -> None:
    document = published()
    document["tables"][0]["columns"][0]["meta"]["filter"]["options"] = ["卡券(新)", " Ａ "]

    assert read_catalog(document).attributes["city"].options == ("卡券(新)", "A")


def test_a_source_that_is_there_twice_is_refused() -> None:
    document = published()
    document["tables"].append({**document["tables"][1], "name": "visits_again"})

    with pytest.raises(CatalogError, match="visits_again: source visit is there twice"):
        read_catalog(document)
