"""Which of the marts' relations the engine keeps a copy of, and the SQL that reads one as it will be kept.

Dictionaries of coded texts belong to `engine_values`, what changed since the last night to `engine_days`, deciding and
writing to `engine_tables`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segment_engine.catalog import Catalog, Field, Source
from segment_engine.layout import CODED, CUSTOMERS, ENGINE_SCHEMA, MISSING_CODE, WORD_BITS, day_column, word_columns
from segment_engine.operators import FieldType

KEY: Final = "customer_key"
FORMAT: Final = 3
"""Goes up when the same catalogue and marts give other tables than before: what a night finds is then rebuilt."""

LARGEST_SMALL_CODE: Final = 255


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of the engine and the mart it is a copy of.

    fields: those that may be kept; source: None for the customers; types: of the mart's columns, by name
    """

    name: str
    mart: str
    fields: tuple[Field, ...]
    source: Source | None
    types: Mapping[str, str]
    zone: str

    @property
    def table(self) -> str:
        return f"{ENGINE_SCHEMA}.{quoted(self.name)}"

    @property
    def lists(self) -> list[str]:
        """The fields with several values."""
        return [field.name for field in self.fields if field.type is FieldType.OPTIONS]

    @property
    def day(self) -> str | None:
        """The column that holds the local day of the source's time."""
        if self.source is None:
            return None
        time = self.source.fields[self.source.time]
        return day_column(time.name) if time.type is FieldType.DATETIME else time.name

    @property
    def shape(self) -> str:
        """Everything but rows that its table is made from: with another shape it is another table."""
        source = self.source
        roles = () if source is None else (source.time, source.known_at, source.leading)
        fields = [(field.name, field.type, self.types.get(field.name)) for field in self.fields]
        return json.dumps([FORMAT, self.mart, self.zone, roles, fields], ensure_ascii=False)

    @property
    def day_in_mart(self) -> str:
        """The local day of a row of the mart, as SQL; customers have none."""
        if self.source is None:
            return "null::date"
        return self._day_of(self.source.fields[self.source.time])

    @property
    def known_until(self) -> str:
        """The greatest `known_at` as SQL; a day counts to its last microsecond."""
        if self.source is None or self.source.known_at is None:
            return "max(null::timestamptz)"
        known_at = self.source.fields[self.source.known_at]
        latest = f"max({quoted(known_at.name)})"
        if known_at.type is FieldType.DATETIME:
            return latest
        return f"timezone({literal(self.zone)}, {latest}::timestamp + interval 1 day) - interval 1 microsecond"

    def columns(self, codes: Mapping[str, Sequence[str]], kept: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Name and SQL type of every column of its table, in order."""
        yield KEY, "integer not null"
        if self.source is None:
            yield "is_customer", "boolean not null"
        for field in self._kept(kept):
            if field.type is FieldType.OPTIONS:
                yield from ((word, "bigint not null") for word in word_columns(field.name, codes[field.name]))
                continue
            yield field.name, self._type(field, codes)
            if field.type is FieldType.DATETIME:
                yield day_column(field.name), "date"

    def rows(self, codes: Mapping[str, Sequence[str]], kept: Sequence[str]) -> str:
        """SELECT of the mart's rows as they are kept, coded by `engine.value`, in the order in which they lie."""
        return f"select * from ({self._coded(codes, kept)}) as kept order by {self._order(kept)}"

    def rows_of_days(self, codes: Mapping[str, Sequence[str]], kept: Sequence[str]) -> str:
        """The same of the days in `$days`, the earliest first."""
        assert self.source is not None and self.day is not None
        time = self.source.fields[self.source.time]
        # The bounds spare reading what lies outside of them; the days alone say what is meant.
        where = (
            f"{quoted(time.name)} >= {self._start_of(time, 'list_min($days::date[])')}"
            f" and {quoted(time.name)} < {self._start_of(time, 'list_max($days::date[]) + 1')}"
            f" and {self.day_in_mart} in (select unnest($days::date[]))"
        )
        order = f"{quoted(self.day)}, {self._order(kept)}"
        return f"select * from ({self._coded(codes, kept, where)}) as kept order by {order}"

    def _coded(self, codes: Mapping[str, Sequence[str]], kept: Sequence[str], where: str = "true") -> str:
        listed = [
            f"keys.{KEY}" if self.source is None else f"mart.{KEY}",
            *([f"mart.{KEY} is not null as is_customer"] if self.source is None else []),
            *(column for field in self._kept(kept) for column in self._selected(field, codes)),
        ]
        return (
            f"select {', '.join(listed)} from {self._from(where)} {' '.join(self._join(name, codes) for name in codes)}"
        )

    def _from(self, where: str) -> str:
        if self.source is not None:
            return f"(from {self.mart} where {where}) as mart"
        keys = f"select unnest(range(coalesce(max({KEY}) + 1, 0)))::integer as {KEY} from {self.mart}"
        return f"({keys}) as keys left join {self.mart} as mart on keys.{KEY} = mart.{KEY}"

    def _join(self, name: str, codes: Mapping[str, Sequence[str]]) -> str:
        # A dictionary is small and a mart's texts are stored by dictionary, so that a row costs a look at its number.
        alias = quoted(f"code of {name}")
        if self._field(name).type is FieldType.OPTIONS:
            return f"left join ({self._bits(name, codes)}) as {alias} on {alias}.value = mart.{quoted(name)}"
        return (
            f"left join {ENGINE_SCHEMA}.value as {alias} on {alias}.relation = {literal(self.name)}"
            f" and {alias}.field = {literal(name)} and {alias}.value = mart.{quoted(name)}"
        )

    def _bits(self, name: str, codes: Mapping[str, Sequence[str]]) -> str:
        """Every different list with the bits of its values, a column per word, as SQL."""
        bits = (
            f"bit_or(case when (dictionary.code - 1) // {WORD_BITS} = {place} then"
            f" 1::bigint << ((dictionary.code - 1) % {WORD_BITS}) else 0 end) as {quoted(word)}"
            for place, word in enumerate(word_columns(name, codes[name]))
        )
        return (
            f"select lists.value, {', '.join(bits)}"
            f" from (select distinct {quoted(name)} as value from {self.mart}) as lists,"
            f" unnest(lists.value) as held (one)"
            f" inner join {ENGINE_SCHEMA}.value as dictionary on dictionary.relation = {literal(self.name)}"
            f" and dictionary.field = {literal(name)} and dictionary.value = held.one group by lists.value"
        )

    def _field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    def _selected(self, field: Field, codes: Mapping[str, Sequence[str]]) -> Iterator[str]:
        name = quoted(field.name)
        if field.type is FieldType.OPTIONS:
            words = map(quoted, word_columns(field.name, codes[field.name]))
            yield from (f"coalesce({quoted(f'code of {field.name}')}.{word}, 0) as {word}" for word in words)
            return
        if field.name in codes:
            code = f"coalesce({quoted(f'code of {field.name}')}.code, {MISSING_CODE})"
            yield f"{code}::{code_type(codes[field.name])} as {name}"
            return
        yield f"mart.{name}"
        if field.type is FieldType.DATETIME:
            yield f"{self._day_of(field, of='mart.')} as {quoted(day_column(field.name))}"

    def _day_of(self, field: Field, of: str = "") -> str:
        column = f"{of}{quoted(field.name)}"
        return column if field.type is FieldType.DATE else f"timezone({literal(self.zone)}, {column})::date"

    def _start_of(self, field: Field, day: str) -> str:
        return day if field.type is FieldType.DATE else f"timezone({literal(self.zone)}, ({day})::timestamp)"

    def _type(self, field: Field, codes: Mapping[str, Sequence[str]]) -> str:
        if field.name in codes:
            return f"{code_type(codes[field.name])} not null"
        return self.types[field.name]

    def _kept(self, kept: Sequence[str]) -> Iterator[Field]:
        return (field for field in self.fields if field.name in kept)

    def _order(self, kept: Sequence[str]) -> str:
        if self.source is None or self.day is None:
            return KEY
        leading = self.source.leading
        return ", ".join(quoted(name) for name in (leading, self.day) if name is not None and name in {*kept, self.day})


def relations_of(catalog: Catalog, types: Mapping[str, Mapping[str, str]], zone: str) -> Iterator[Relation]:
    """The customers, then every source; `types` are the columns' of each mart, both by name."""
    yield Relation(
        CUSTOMERS, catalog.customers, _may_be_kept(catalog.attributes), None, types.get(catalog.customers, {}), zone
    )
    for source in catalog.sources.values():
        yield Relation(
            source.name, source.table, _may_be_kept(source.fields), source, types.get(source.table, {}), zone
        )


def _may_be_kept(fields: Mapping[str, Field]) -> tuple[Field, ...]:
    """All but texts that not everybody may see: a dictionary of names and numbers would be one more copy of them."""
    return tuple(field for field in fields.values() if field.permission is None or field.type not in CODED)


def code_type(values: Sequence[str]) -> str:
    """The smallest type that holds the codes of so many values."""
    return "utinyint" if len(values) <= LARGEST_SMALL_CODE else "usmallint"


def quoted(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"
