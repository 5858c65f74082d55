"""The world of a case file: customers, rows of sources and ready-made memberships, with the catalogue they make up.

Reading them from plain data, with every problem told. Values of one type are read in `stored.py`, cases in
`case_file.py`; writing a world into a database is `tables.py`'s.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from segment_engine.cases.notes import Notes, Place
from segment_engine.cases.stored import Stored, UnreadableError, stored
from segment_engine.catalog import DATED, Catalog, Child, Field, Source
from segment_engine.operators import FieldType

CUSTOMERS: Final = "world.customer"
DEFAULT_ZONE: Final = "Asia/Shanghai"
CUSTOMER_KEY: Final = "customer_key"
ROW_KEY: Final = "row_key"
_RESERVED: Final = frozenset({"id", "customer", CUSTOMER_KEY, "one_id", ROW_KEY})
_TABLES: Final = frozenset({"customer", "audience_member"})
_NAME: Final = re.compile(r"[^\W\d]\w{0,59}")
_KEYS: Final = range(1 << 31)

Values = Mapping[str, Stored]
"""What a customer or a row has, by field; what is missing is not there."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source, which belongs to a customer."""

    customer: int
    values: Values


@dataclass(frozen=True, slots=True)
class World:
    """Customers by their key, rows by source, members by tag and segment; every field is one of the catalogue's.

    excluded_clinics: those without which everything is asked
    """

    zone: ZoneInfo
    catalog: Catalog
    customers: Mapping[int, Values]
    rows: Mapping[str, tuple[Row, ...]]
    tags: Mapping[int, frozenset[int]]
    segments: Mapping[int, frozenset[int]]
    excluded_clinics: frozenset[str] = frozenset()


def one_id_of(customer: int) -> str:
    """The stable text id of a customer of a world."""
    return str(customer)


def read_world(raw: Any, notes: Notes, place: Place = ()) -> World:
    """The world that plain data says; what is wrong is noted and left out."""
    known = {"zone", "attributes", "sources", "customers", "rows", "tags", "segments", "excluded_clinics"}
    members = notes.members(raw, place, allowed=known)
    reader = _Reader(notes, _zone(members.get("zone", DEFAULT_ZONE), notes, (*place, "zone")))
    attributes = reader.fields(members.get("attributes", {}), (*place, "attributes"), CUSTOMERS, CUSTOMER_KEY)
    sources = reader.sources(members.get("sources", {}), (*place, "sources"))
    customers = reader.customers(members.get("customers", []), attributes, (*place, "customers"))
    return World(
        reader.zone,
        Catalog(CUSTOMERS, attributes, sources),
        customers,
        reader.rows(members.get("rows", {}), sources, customers, (*place, "rows")),
        reader.audiences(members.get("tags", {}), customers, (*place, "tags")),
        reader.audiences(members.get("segments", {}), customers, (*place, "segments")),
        reader.clinics(members.get("excluded_clinics", []), (*place, "excluded_clinics")),
    )


def _zone(raw: Any, notes: Notes, place: Place) -> ZoneInfo:
    try:
        return ZoneInfo(raw)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        notes.tell_type(place, "时区名,如 Asia/Shanghai", "the name of a zone such as Asia/Shanghai")
        return ZoneInfo(DEFAULT_ZONE)


class _Reader:
    """Reads the parts of a world and notes what is wrong with them."""

    def __init__(self, notes: Notes, zone: ZoneInfo) -> None:
        self.zone = zone
        self._notes = notes

    def fields(self, raw: Any, place: Place, table: str, key: str) -> dict[str, Field]:
        """Fields of a table whose rows are known by a key; one with several values has a table of its own for them."""
        found: dict[str, Field] = {}
        for at, name, told in self._notes.named(raw, place):
            if not isinstance(told, str) or told not in list(FieldType):
                known = ", ".join(FieldType)
                self._notes.tell("unknown_type", at, f"类型应为:{known}", f"A type is one of {known}.")
            elif self._is_name(name, at, _RESERVED, found):
                child = Child(f"{table}__{name}", "value", key) if told == FieldType.OPTIONS else None
                found[name] = Field(name, FieldType(told), label_zh=name, label_en=name, child=child)
        return found

    def sources(self, raw: Any, place: Place) -> dict[str, Source]:
        found: dict[str, Source] = {}
        for at, name, told in self._notes.named(raw, place):
            members = self._notes.members(told, at, required={"time", "fields"}, allowed={"known_at"})
            if members and self._is_name(name, at, _TABLES, found):
                fields = self.fields(members["fields"], (*at, "fields"), f"world.{name}", ROW_KEY)
                time, known_at = members["time"], members.get("known_at", members["time"])
                self._check_dated(time, fields, (*at, "time"))
                if known_at != time:
                    self._check_dated(known_at, fields, (*at, "known_at"))
                found[name] = Source(
                    name, f"world.{name}", (), name, name, str(time), str(known_at), fields, metrics=(), groups={}
                )
        return found

    def customers(self, raw: Any, attributes: Mapping[str, Field], place: Place) -> dict[int, Values]:
        found: dict[int, Values] = {}
        for at, told in self._notes.items(raw, place):
            members = self._notes.members(told, at, required={"id"}, allowed=attributes.keys())
            if not members or not self._is_id(members["id"], (*at, "id"), _KEYS):
                continue
            key = members["id"]
            if key in found:
                self._notes.tell("duplicate", (*at, "id"), f"客户 {key} 重复", f"Customer {key} is there twice.")
            found[key] = self._values(members, attributes, at)
        return found

    def rows(
        self, raw: Any, sources: Mapping[str, Source], customers: Mapping[int, Values], place: Place
    ) -> dict[str, tuple[Row, ...]]:
        found: dict[str, tuple[Row, ...]] = dict.fromkeys(sources, ())
        for at, name, told in self._notes.named(raw, place):
            if name not in sources:
                self._notes.tell("unknown_source", at, "没有这个数据源", "There is no such source.")
                continue
            found[name] = tuple(self._rows(told, sources[name].fields, customers, at))
        return found

    def _rows(
        self, raw: Any, fields: Mapping[str, Field], customers: Mapping[int, Values], place: Place
    ) -> Iterator[Row]:
        for at, told in self._notes.items(raw, place):
            members = self._notes.members(told, at, required={"customer"}, allowed=fields.keys())
            if members and self._is_customer(members["customer"], customers, (*at, "customer")):
                yield Row(members["customer"], self._values(members, fields, at))

    def audiences(self, raw: Any, customers: Mapping[int, Values], place: Place) -> dict[int, frozenset[int]]:
        """Members by id; JSON has no numbers for names, so digits will do."""
        found: dict[int, frozenset[int]] = {}
        for at, name, told in self._notes.named(raw, place):
            audience = int(name) if isinstance(name, str) and re.fullmatch("[0-9]{1,18}", name) else name
            if not self._is_id(audience, at, range(1, 1 << 63)):
                continue
            members = [(each, one) for each, one in self._notes.items(told, at)]
            found[audience] = frozenset(one for each, one in members if self._is_customer(one, customers, each))
        return found

    def clinics(self, raw: Any, place: Place) -> frozenset[str]:
        """Clinics by their ids, as rows and customers name them."""
        read = (self._clinic(one, at) for at, one in self._notes.items(raw, place))
        return frozenset(one for one in read if one is not None)

    def _clinic(self, raw: Any, place: Place) -> str | None:
        try:
            read = stored(raw, FieldType.TEXT, self.zone)
        except UnreadableError as wrong:
            self._notes.tell_type(place, wrong.zh, wrong.en)
            return None
        return read if isinstance(read, str) else None

    def _values(self, members: Mapping[str, Any], fields: Mapping[str, Field], place: Place) -> Values:
        read = {name: self._value(members.get(name), field, (*place, name)) for name, field in fields.items()}
        return {name: value for name, value in read.items() if value is not None}

    def _value(self, raw: Any, field: Field, place: Place) -> Stored | None:
        try:
            return stored(raw, field.type, self.zone)
        except UnreadableError as wrong:
            self._notes.tell_type(place, wrong.zh, wrong.en)
            return None

    def _is_name(self, name: Any, place: Place, reserved: frozenset[str], others: Mapping[str, object]) -> bool:
        """A name that a table or column can have; databases see no difference between a and A."""
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.casefold() in reserved:
            listed = ", ".join(sorted(reserved))
            told = f"名称由字母、数字、下划线组成,不能是 {listed}", f"A name is letters, digits, _; none of {listed}."
            self._notes.tell("bad_name", place, *told)
            return False
        if name.casefold() in {other.casefold() for other in others}:
            self._notes.tell("duplicate", place, f"{name} 重复", f"{name} is there twice.")
            return False
        return True

    def _is_id(self, value: Any, place: Place, allowed: range) -> bool:
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return True
        low, high = allowed.start, allowed.stop - 1
        self._notes.tell_type(place, f"{low} 到 {high} 的整数", f"a whole number from {low} to {high}")
        return False

    def _is_customer(self, value: Any, customers: Mapping[int, Values], place: Place) -> bool:
        if isinstance(value, int) and not isinstance(value, bool) and value in customers:
            return True
        self._notes.tell("unknown_customer", place, "没有这个客户", "There is no such customer.")
        return False

    def _check_dated(self, name: Any, fields: Mapping[str, Field], place: Place) -> None:
        if not isinstance(name, str) or name not in fields or fields[name].type not in DATED:
            self._notes.tell_type(place, "该数据源的日期或时间字段", "a field of the source with a date or a moment")
