"""The 41 contracts as the sample needs them: which columns of which types each landing table has.

Read from the same YAML as ingest, but on its own: ingest and sample are strangers. Checking belongs to ingest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

# The C loader reads the same YAML in a tenth of the time; both build plain values only.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FOLDER = Path(__file__).parent.parent / "ingest" / "contracts"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a contract."""

    name: str
    type: str
    unit: str | None
    required: bool
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """A landing table; `name` is `<source>/<table>`."""

    source: str
    table: str
    schema_version: int
    key: tuple[str, ...]
    time: str | None
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """`<source>/<table>`."""
        return f"{self.source}/{self.table}"


@cache
def contracts() -> Mapping[str, Contract]:
    """All contracts by name, sorted by name."""
    found = [_contract(_read(path)) for path in _FOLDER.glob("*/*.yml")]
    return {contract.name: contract for contract in sorted(found, key=lambda c: c.name)}


def _read(path: Path) -> dict[str, object]:
    text: dict[str, object] = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - both loaders are safe ones
    return text


def _contract(text: dict[str, object]) -> Contract:
    columns = text["columns"]
    key = text["key"]
    assert isinstance(columns, dict)
    assert isinstance(key, list)
    return Contract(
        source=str(text["source"]),
        table=str(text["table"]),
        schema_version=int(str(text["schema_version"])),
        key=tuple(key),
        time=str(text["time"]) if "time" in text else None,
        columns=tuple(_column(name, spec) for name, spec in columns.items()),
    )


def _column(name: str, spec: dict[str, object]) -> Column:
    allowed = spec.get("allowed", ())
    assert isinstance(allowed, list | tuple)
    unit = spec.get("unit")
    return Column(
        name=name,
        type=str(spec["type"]),
        unit=str(unit) if unit is not None else None,
        required=bool(spec.get("required", False)),
        allowed=tuple(str(word) for word in allowed),
    )
