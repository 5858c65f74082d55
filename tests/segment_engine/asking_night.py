"""Asking filters on a published night: how it is opened, and filters of every kind over its real catalogue."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from pipelines.settings import PipelineSettings
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check, compile_one
from segment_engine.predicates import InAudience
from segment_engine.runtime.bitmaps import Bitmap, nobody
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.published import open_current
from segment_engine.runtime.version import Opened, asking_for, end_of, open_audiences

Json = Any

PERMISSIONS = frozenset({"pii_name", "pii_phone", "pii_id_number", "pii_free_text"})


@dataclass(frozen=True, slots=True)
class Night:
    """An open version, and what is asked on it."""

    connection: duckdb.DuckDBPyConnection
    opened: Opened

    def checked(self, document: Json, **asking: Any) -> CheckedGroup:
        return check(document, self.opened.catalog, asking_for(self.opened, permissions=PERMISSIONS, **asking))

    def nobody(self, one: InAudience) -> Bitmap:
        return nobody(self.opened.version.keys)

    def selected(self, tree: CheckedGroup) -> set[int]:
        """The customers of a filter by its own SQL."""
        statement = compile_one(tree, self.opened.as_of, self.opened.version.marts)
        found = self.connection.execute(statement.text, dict(statement.values)).fetchnumpy()
        return set(found["customer_key"].tolist())


@contextmanager
def open_night(
    settings: PipelineSettings, day: date | None = None, *, with_layout: bool = True, without: Collection[str] = ()
) -> Iterator[Night]:
    """The served version, without some clinics; without its layout, everything is read from the marts."""
    connection, pointer = open_current(settings.folders, timezone=settings.timezone)
    with connection:
        catalog = PublishedCatalogs(settings.folders).of(pointer)
        opened = open_audiences(
            connection,
            catalog,
            zone=settings.timezone,
            published_on=pointer.as_of,
            as_of=end_of(day or pointer.as_of, settings.zone),
            layout=read_layout(connection, catalog) if with_layout else None,
            excluded_clinics=frozenset(without),
        )
        yield Night(connection, opened)


def all_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "and", "rules": list(rules), **members}


def any_of(*rules: Json, **members: Json) -> Json:
    return {"combinator": "or", "rules": list(rules), **members}


def is_(field: str, operator: str, *value: Json, **more: Json) -> Json:
    return {"kind": "attribute", **row(field, operator, *value, **more)}


def row(field: str, operator: str, *value: Json, **more: Json) -> Json:
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {}), **more}


def did(source: str, *where: Json, **members: Json) -> Json:
    kept = {"where": all_of(*where)} if where else {}
    return {"kind": "activity", "source": source, "occurrence": "did", **kept, **members}


def did_not(source: str, *where: Json) -> Json:
    return did(source, *where, occurrence="did_not")


def measured(metric: str, operator: str, *value: Json, **more: Json) -> Json:
    return {"metric": metric, "operator": operator, **({"value": value[0]} if value else {}), **more}


def sequence(*steps: Json, **members: Json) -> Json:
    return {"kind": "sequence", "occurrence": "did", "steps": list(steps), "within": days(30), **members}


def step(source: str, *where: Json) -> Json:
    return {"source": source, **({"where": all_of(*where)} if where else {})}


def days(n: int) -> Json:
    return {"n": n, "unit": "day"}


def share(first: int, end: int) -> Json:
    return {"kind": "bucket", "salt": "spring", "from": first, "to": end}


RECEIVABLE = {"field": "receivable_fen"}
ARRIVED = row("arrived_at", "is_set")

OF_ROWS: dict[str, Json] = {
    "rows": all_of(did("visit", row("visited_at", "within_past", days(60)))),
    "no rows": all_of(did_not("review", row("score10", "gte", 9))),
    "counts": any_of(
        did("visit", having=[measured("count", "between", [2, 3])]),
        did("appointment", having=[measured("days", "lt", 2)], include_zero=True),
    ),
    "sums": all_of(
        did("bill", having=[measured("sum", "gte", 500, **RECEIVABLE), measured("avg", "lt", 3000.5, **RECEIVABLE)]),
    ),
    "ends": any_of(
        did("visit", having=[measured("last", "neq", "初诊", field="visit_type")]),
        did(
            "review",
            having=[measured("min", "lt", 7, field="score10"), measured("distinct", "gt", 0, field="clinic_id")],
        ),
        did("visit", having=[measured("first", "within_past", days(90), field="visited_at")]),
    ),
    "lists": any_of(
        did("review", row("review_tags", "has_any", ["医生专业"])),
        did("review", row("review_tags", "size", {"operator": "gte", "value": 2})),
    ),
    "sequence": all_of(sequence(step("appointment", ARRIVED), step("visit"))),
    "sequence with limits": any_of(
        sequence(step("visit"), step("visit"), within={"n": 2, "unit": "month"}, max_gap=days(20), same="clinic_id"),
        sequence(step("appointment"), step("bill"), within={"n": 48, "unit": "hour"}, without=step("review")),
    ),
    "no sequence": all_of(sequence(step("visit"), step("review"), within=days(3), occurrence="did_not")),
    "negated group": all_of(did("visit"), any_of(did("review"), share(0, 40), **{"not": True})),
}  # fmt: skip

OF_ATTRIBUTES: dict[str, Json] = {
    "attributes": all_of(is_("gender", "neq", "男"), is_("paid_fen", "gte", 100)),
    "missing": any_of(is_("city", "not_set"), is_("member_level", "not_in", ["普通"], null_policy="match")),
    "dates": any_of(is_("birth_date", "month_in", [2, 11]), is_("last_visit_at", "before_past", days(30))),
    "fields": all_of(is_("first_visit_at", "before", {"field": "last_visit_at"})),
    "several": all_of(is_("clinic_ids", "size", {"operator": "eq", "value": 1}), is_("is_fan", "is_false")),
    "everything": all_of(
        {"kind": "everyone"}, is_("name", "regex", "^[王李张]"), any_of(OF_ROWS["rows"], share(20, 60))
    ),
}

FILTERS: dict[str, Json] = {**OF_ROWS, **OF_ATTRIBUTES}
