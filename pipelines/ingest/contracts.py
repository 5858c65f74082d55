"""The contracts of the source tables: reading `contracts/<source>/<table>.yml` strictly into frozen dataclasses.

What a value must look like in SQL belongs to `normalise`, files and manifests to `manifest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from pipelines.ingest.contract_rules import contract_faults

ColumnType = Literal["text", "option", "options", "integer", "money", "boolean", "date", "datetime"]
Unit = Literal["fen", "yuan"]
Erasure = Literal["erase", "restrict", "none"]

COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)
CONTRACTS_FOLDER = Path(__file__).parent / "contracts"
RAW_TYPES: Mapping[str, str] = {
    "text": "varchar",
    "option": "varchar",
    "options": "varchar[]",
    "integer": "bigint",
    "money": "bigint",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp with time zone",
}


class InvalidContract(Exception):  # noqa: N818 -- the name says what is wrong, as everywhere in this house
    """A contract file breaks the rules of contracts; `faults` lists every breach."""

    def __init__(self, file: str, faults: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a source table; `min` and `max` are inclusive, for money in the column's `unit`.

    `identifies` marks what singles a person out without being hidden from analysts, such as a record number.
    """

    name: str
    type: ColumnType
    zh: str
    required: bool = False
    allowed: tuple[str, ...] | None = None
    unit: Unit | None = None
    min: int | date | None = None
    max: int | date | None = None
    pii: str | None = None
    identifies: bool = False

    @property
    def is_personal(self) -> bool:
        """Whether the column says who somebody is, or may say so in free text."""
        return self.pii is not None or self.identifies


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a row names: an identity kind and the columns that hold the rest of the identity's key, in its order."""

    kind: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LateArrival:
    """Rows whose `column`, the table's time, lies more than `accept_days` before the batch's window are quarantined."""

    column: str
    accept_days: int


@dataclass(frozen=True, slots=True)
class Contract:
    """One source table; exactly one of `version` (larger value wins a key) and `time` (append-only) is set.

    Only an append-only table may have a `late_arrival` rule. A `version` or `time` from the future is always refused.
    `subjects` are the persons whose row it is, `references` others it names; what becomes of the row when one of them
    is erased says `erasure` (decision 0006).
    """

    source: str
    table: str
    grain: str
    schema_version: int
    key: tuple[str, ...]
    version: str | None
    time: str | None
    late_arrival: LateArrival | None
    erasure: Erasure
    subjects: tuple[Person, ...]
    references: tuple[Person, ...]
    columns: tuple[Column, ...]

    @property
    def persons(self) -> tuple[Person, ...]:
        """Everybody a row names, subjects first."""
        return self.subjects + self.references

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@cache
def load_contracts(folder: Path = CONTRACTS_FOLDER) -> dict[tuple[str, str], Contract]:
    """Every contract by (source, table), sorted; raises InvalidContract naming all faults of the first bad file."""
    contracts = [_read_file(file) for file in sorted(folder.glob("*/*.yml"))]
    return {(contract.source, contract.table): contract for contract in contracts}


def contract_from_mapping(mapping: Mapping[str, Any], *, name: str) -> Contract:
    """A contract from plain data (a YAML document or `contract_to_mapping`); raises InvalidContract."""
    faults = contract_faults(mapping)
    if faults:
        raise InvalidContract(name, faults)
    late = mapping.get("late_arrival")
    return Contract(
        source=mapping["source"],
        table=mapping["table"],
        grain=mapping["grain"],
        schema_version=mapping["schema_version"],
        key=tuple(mapping["key"]),
        version=mapping.get("version"),
        time=mapping.get("time"),
        late_arrival=LateArrival(late["column"], late["accept_days"]) if late else None,
        erasure=mapping["erasure"],
        subjects=_persons(mapping.get("subjects")),
        references=_persons(mapping.get("references")),
        columns=tuple(_column(column, rules) for column, rules in mapping["columns"].items()),
    )


def contract_to_mapping(contract: Contract) -> dict[str, Any]:
    """The contract as JSON-able plain data, days as ISO text; `contract_from_mapping` reads it back."""
    late = contract.late_arrival
    mapping: dict[str, Any] = {
        "source": contract.source,
        "table": contract.table,
        "schema_version": contract.schema_version,
        "grain": contract.grain,
        "key": list(contract.key),
        "version": contract.version,
        "time": contract.time,
        "late_arrival": {"column": late.column, "accept_days": late.accept_days} if late else None,
        "erasure": contract.erasure,
        "subjects": _persons_mapping(contract.subjects),
        "references": _persons_mapping(contract.references),
        "columns": {column.name: _column_mapping(column) for column in contract.columns},
    }
    return {key: value for key, value in mapping.items() if value is not None}


def raw_table_name(contract: Contract) -> str:
    """The table in schema `raw`: ('saas', 'patients') → 'saas__patients'."""
    return f"{contract.source}__{contract.table}"


def raw_type(column: Column) -> str:
    """The DuckDB type of a column in its raw table; money is a BIGINT in fen."""
    return RAW_TYPES[column.type]


def _persons(listed: list[dict[str, list[str]]] | None) -> tuple[Person, ...]:
    return tuple(Person(kind, tuple(columns)) for entry in listed or () for kind, columns in entry.items())


def _persons_mapping(persons: tuple[Person, ...]) -> list[dict[str, list[str]]] | None:
    return [{person.kind: list(person.columns)} for person in persons] or None


def _column(name: str, rules: Mapping[str, Any]) -> Column:
    allowed = rules.get("allowed")
    return Column(
        name=name,
        type=cast(ColumnType, rules["type"]),
        zh=rules["zh"],
        required=rules.get("required", False),
        allowed=tuple(allowed) if allowed is not None else None,
        unit=rules.get("unit"),
        min=_bound(rules.get("min"), rules["type"]),
        max=_bound(rules.get("max"), rules["type"]),
        pii=rules.get("pii"),
        identifies=rules.get("identifies", False),
    )


def _bound(value: Any, column_type: str) -> int | date | None:
    if column_type == "date" and isinstance(value, str):
        return date.fromisoformat(value)
    return cast(int | date | None, value)


def _column_mapping(column: Column) -> dict[str, Any]:
    rules: dict[str, Any] = {
        "type": column.type,
        "required": column.required or None,
        "allowed": list(column.allowed) if column.allowed is not None else None,
        "unit": column.unit,
        "min": column.min.isoformat() if isinstance(column.min, date) else column.min,
        "max": column.max.isoformat() if isinstance(column.max, date) else column.max,
        "zh": column.zh,
        "pii": column.pii,
        "identifies": column.identifies or None,
    }
    return {key: value for key, value in rules.items() if value is not None}


def _read_file(file: Path) -> Contract:
    name = f"{file.parent.name}/{file.name}"
    try:
        # _StrictLoader is a SafeLoader: it builds plain data only.
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise InvalidContract(name, [str(error)]) from error
    if not isinstance(document, dict):
        raise InvalidContract(name, ["a contract is a mapping"])
    contract = contract_from_mapping(document, name=name)
    if (contract.source, contract.table) != (file.parent.name, file.stem):
        raise InvalidContract(name, [f"says {contract.source}/{contract.table}, but lies at {name}"])
    return contract


class _StrictLoader(yaml.CSafeLoader):
    """SafeLoader that refuses a key written twice; YAML itself lets the second silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return cast(dict[Any, Any], super().construct_mapping(node, deep=deep))
