"""What filters may speak of: fields of the customer, sources of activity and their fields, as dbt's metadata says.

A new field is a column with `meta` in a mart's YAML and no Python. Names of tables and columns come from here alone,
never from a filter. Reading the published file belongs to `runtime/`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segment_engine.operators import FieldType
from segment_engine.texts import normalised
from segment_engine.tree import Metric

CATEGORY_LEVELS: Final = 3
ALWAYS_KNOWN: Final = "always"
"""A source's `known_at` where it speaks of the future and does not say when a row was made: of plans."""
NUMERIC: Final = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY})
DATED: Final = frozenset({FieldType.DATE, FieldType.DATETIME})
WORDED: Final = frozenset({FieldType.OPTION, FieldType.TEXT})
_OF_NUMBERS: Final = frozenset({Metric.SUM, Metric.AVG, Metric.MIN, Metric.MAX})


class CatalogError(Exception):
    """Metadata that contradicts itself: a mistake of the dbt project, with every place where there is one."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Options that are rows of another published table."""

    table: str
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Child:
    """The table that holds the values of a field with several, one per row.

    column: the values'; key: the column by which both tables know a row
    """

    table: str
    column: str
    key: str


@dataclass(frozen=True, slots=True)
class Field:
    """One column that filters may name; the column has the field's name.

    category: three levels (一级/二级/三级分类), empty inside a source; options: what it may hold, None where nobody has
    listed it; permission: who may see it, None for everybody who sees the customer; is_current_only: nobody knows what
    it held on an earlier day
    """

    name: str
    type: FieldType
    label_zh: str
    label_en: str
    category: tuple[str, ...] = ()
    options: tuple[str, ...] | None = None
    options_from: Dictionary | None = None
    unit: str | None = None
    permission: str | None = None
    is_current_only: bool = False
    child: Child | None = None


@dataclass(frozen=True, slots=True)
class OfferedMetric:
    """A metric that is offered with words of its own; others can be asked for too."""

    metric: Metric
    field: str | None
    label_zh: str
    label_en: str


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of one activity.

    table: `schema.name`; time: the field that orders rows; known_at: the field that says since when a row is known,
    None where rows are known always; groups: named groups of the values of its event field (二级/三级分类), where it
    has them; leading: the option or text that most filters select by first, by which the engine's rows are laid out
    """

    name: str
    table: str
    category: tuple[str, ...]
    label_zh: str
    label_en: str
    time: str
    known_at: str | None
    fields: Mapping[str, Field]
    metrics: tuple[OfferedMetric, ...]
    groups: Mapping[str, tuple[str, ...]]
    leading: str | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Fields of the customer, which are columns of `customers`, and sources, both by name."""

    customers: str
    attributes: Mapping[str, Field]
    sources: Mapping[str, Source]

    @property
    def permissions(self) -> frozenset[str]:
        """Every class of masked fields."""
        of_sources = (field for source in self.sources.values() for field in source.fields.values())
        fields = [*self.attributes.values(), *of_sources]
        return frozenset(field.permission for field in fields if field.permission is not None)


def read_catalog(document: Mapping[str, Any]) -> Catalog:
    """The catalogue that is published beside a version; raises CatalogError with all that contradicts itself in it."""
    if document.get("format") != 1:
        raise CatalogError([f"format {document.get('format')!r} is not known here"])
    reader = _Reader({table["name"]: table for table in document["tables"] if table["schema"] == "marts"})
    catalog = reader.catalog()
    if reader.faults:
        raise CatalogError(reader.faults)
    return catalog


class _Reader:
    """Reads tables and notes faults; what is faulty is left out."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self.faults: list[str] = []
        self._tables = tables

    def catalog(self) -> Catalog:
        sources: dict[str, Source] = {}
        customers = []
        for name, table in self._tables.items():
            activity = table["meta"].get("activity")
            fields = {field.name: field for field in self._fields(table, has_category=activity is None)}
            if activity is not None:
                source = self._source(f"marts.{name}", activity, fields)
                if source.name in sources:
                    self._fault(name, f"source {source.name} is there twice")
                sources[source.name] = source
            elif fields:
                customers.append((f"marts.{name}", fields))
        if len(customers) != 1:
            self._fault("catalog", f"fields of the customer are in one table, not in {[name for name, _ in customers]}")
            customers = [*customers, ("", {})]
        return Catalog(*customers[0], sources)

    def _fields(self, table: Mapping[str, Any], *, has_category: bool) -> Iterator[Field]:
        for column in table["columns"]:
            told = column["meta"].get("filter")
            if told is None:
                continue
            where = f"{table['name']}.{column['name']}"
            if told.get("type") not in list(FieldType):
                self._fault(where, f"type {told.get('type')!r} is none of {', '.join(FieldType)}")
                continue
            if told["type"] == FieldType.OPTIONS and "child" not in told:
                self._fault(where, "type options needs a child, the table with one row per value")
            category = tuple(told.get("category", ()))
            if len(category) != (CATEGORY_LEVELS if has_category else 0):
                self._fault(where, f"category {category} should have {CATEGORY_LEVELS if has_category else 0} levels")
            yield Field(
                name=column["name"],
                type=FieldType(told["type"]),
                label_zh=self._label(where, told, "label_zh"),
                label_en=self._label(where, told, "label_en"),
                category=category,
                options=None if "options" not in told else tuple(map(normalised, told["options"])),
                options_from=self._dictionary(where, told.get("options_from")),
                unit=told.get("unit"),
                permission=told.get("permission"),
                is_current_only=told.get("as_of") == "current_only",
                child=self._child(where, told.get("child")),
            )

    def _source(self, table: str, told: Mapping[str, Any], fields: Mapping[str, Field]) -> Source:
        known_at = told.get("known_at", told["time"])
        known_at = None if known_at == ALWAYS_KNOWN else known_at
        for role, name in (("time", told["time"]), ("known_at", known_at)):
            if name is None:
                continue
            if name not in fields or fields[name].type not in DATED:
                self._fault(table, f"{role} {name} is no field with a date")
        leading = told.get("leading")
        if leading is not None and (leading not in fields or fields[leading].type not in WORDED):
            self._fault(table, f"leading {leading} is no field with an option or a text")
        if len(told["category"]) != CATEGORY_LEVELS:
            self._fault(table, f"category {told['category']} should have {CATEGORY_LEVELS} levels")
        return Source(
            name=told["name"],
            table=table,
            category=tuple(told["category"]),
            label_zh=self._label(table, told, "label_zh"),
            label_en=self._label(table, told, "label_en"),
            time=told["time"],
            known_at=known_at,
            fields=fields,
            metrics=tuple(self._metrics(table, told["metrics"], fields)),
            groups={name: tuple(values) for name, values in told.get("groups", {}).items()},
            leading=leading,
        )

    def _metrics(
        self, table: str, told: Sequence[Mapping[str, Any]], fields: Mapping[str, Field]
    ) -> Iterator[OfferedMetric]:
        for one in told:
            metric, field = Metric(one["metric"]), one.get("field")
            if field is not None and field not in fields:
                self._fault(table, f"metric {metric} is of {field}, which is no field")
            elif field is not None and metric in _OF_NUMBERS and fields[field].type not in NUMERIC:
                self._fault(table, f"metric {metric} cannot be of {field}, which is {fields[field].type}")
            yield OfferedMetric(metric, field, self._label(table, one, "label_zh"), self._label(table, one, "label_en"))

    def _dictionary(self, where: str, told: Mapping[str, str] | None) -> Dictionary | None:
        if told is None:
            return None
        self._expect_columns(where, told["model"], told["value"], told["label"])
        return Dictionary(f"marts.{told['model']}", told["value"], told["label"])

    def _child(self, where: str, told: Mapping[str, str] | None) -> Child | None:
        if told is None:
            return None
        self._expect_columns(where, told["model"], told["column"], told["key"])
        self._expect_columns(where, where.partition(".")[0], told["key"])
        return Child(f"marts.{told['model']}", told["column"], told["key"])

    def _expect_columns(self, where: str, table: str, *columns: str) -> None:
        there = {column["name"] for column in self._tables[table]["columns"]} if table in self._tables else set()
        for missing in sorted(set(columns) - there):
            self._fault(where, f"{table}.{missing} is not published")

    def _label(self, where: str, told: Mapping[str, Any], name: str) -> str:
        if not told.get(name):
            self._fault(where, f"{name} is missing")
        return str(told.get(name, ""))

    def _fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")
