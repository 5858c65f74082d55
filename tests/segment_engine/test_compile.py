"""The SQL of single filters, as a person reads it: golden statements, and that a person's text is never in them."""

from datetime import datetime
from textwrap import dedent
from typing import Any
from zoneinfo import ZoneInfo

from sqlglot import parse_one

from segment_engine.compile import check, compile_one
from segment_engine.emit import Dialect
from segment_engine.relations import relations_of
from tests.segment_engine.documents import ASKING, CATALOG

ZONE = ZoneInfo("Asia/Shanghai")
AS_OF = datetime(2026, 1, 31, 12, tzinfo=ZONE)
RELATIONS = relations_of(CATALOG, ZONE.key)

VISITED_FIRST: Any = {
    "combinator": "and",
    "rules": [
        {"kind": "attribute", "field": "city", "operator": "not_contains", "value": "zq9_'"},
        {
            "kind": "activity",
            "source": "appointment",
            "occurrence": "did",
            "where": {
                "combinator": "and",
                "rules": [
                    {"field": "arrived_at", "operator": "within_past", "value": {"n": 7, "unit": "day"}},
                    {"field": "visit_type", "operator": "eq", "value": "初诊"},
                ],
            },
            "having": [{"metric": "count", "operator": "gte", "value": 2}],
        },
    ],
}


def statement_of(document: Any, dialect: Dialect = Dialect.DUCKDB) -> Any:
    return compile_one(check(document, CATALOG, ASKING), AS_OF, RELATIONS, dialect)


def test_a_filter_is_sql_that_a_person_can_read() -> None:
    statement = statement_of(VISITED_FIRST)

    assert statement.text == dedent("""\
        WITH appointment_1 AS (
          SELECT
            customer_key,
            COUNT(*) AS row_count
          FROM marts.fct_appointment
          WHERE
            visit_type = $p0
            AND NOT (
              "at" > $p1
            ) IS TRUE
            AND (
              arrived_at >= $p2 AND arrived_at < $p3
            )
          GROUP BY
            customer_key
        )
        SELECT
          customer.customer_key
        FROM marts.dim_customer AS customer
        LEFT JOIN appointment_1
          ON appointment_1.customer_key = customer.customer_key
        WHERE
          NOT (
            CONTAINS(customer.city, $p4)
          ) IS TRUE
          AND COALESCE(appointment_1.row_count, 0) >= $p5
          AND customer.city <> ''""")
    assert statement.values == {
        "p0": "初诊",
        "p1": AS_OF,
        "p2": datetime(2026, 1, 25, tzinfo=ZONE),
        "p3": datetime(2026, 2, 1, tzinfo=ZONE),
        "p4": "zq9_'",
        "p5": 2,
    }


def test_the_same_plan_is_spark_sql() -> None:
    statement = statement_of(VISITED_FIRST, Dialect.SPARK)

    assert "LEFT JOIN appointment_1" in statement.text
    assert "contains(customer.city, :p4)".upper() in statement.text.upper()
    assert parse_one(statement.text, dialect="spark") is not None
    assert statement.values == statement_of(VISITED_FIRST).values


def test_compiling_twice_gives_the_same_text() -> None:
    assert statement_of(VISITED_FIRST) == statement_of(VISITED_FIRST)


def test_an_average_is_compared_without_being_rounded() -> None:
    document = {"combinator": "and", "rules": [{
        "kind": "activity", "source": "appointment", "occurrence": "did",
        "having": [{"metric": "avg", "field": "minutes", "operator": "gt", "value": 0.1}],
    }]}  # fmt: skip

    text = statement_of(document).text

    assert "appointment_1.avg_minutes > $p1 * CAST(appointment_1.present_minutes AS DECIMAL(19, 0))" in text
