"""Random worlds full of poison: everything that has broken engines, in about 40 customers and some 300 rows.

The same seed gives the same world. Filters over them are made in `random_filters.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from segment_engine.cases.notes import BadCaseFileError, Notes
from segment_engine.cases.world import World, read_world
from segment_engine.operators import FieldType

Json = Any

ZONE: Final = ZoneInfo("Asia/Shanghai")
PRESENTS: Final = (
    datetime(2026, 1, 31, 12, tzinfo=ZONE),
    datetime(2026, 3, 31, 0, 0, tzinfo=ZONE),
    datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=ZONE),
    datetime(2025, 12, 31, 16, tzinfo=UTC),
    datetime(1986, 5, 4, 12, tzinfo=ZONE),
    datetime(1991, 9, 15, 1, 30, tzinfo=ZONE),
)
"""Moments to ask at: the last of a month, midnight, a leap day's end, a year's first moment, clocks being changed."""

TEXTS: Final = (
    "a", "A", "ab", "上海", "上海市", "北京", "%", "_", "100%_ok", "O'Brien", '"', "\\", "\\'", "a\\%",
    "'; drop table customer; --",
    "👍🏽", "👨‍👩‍👧", "café", "ß", "İ", "a\nb", "a\tb", "${x}", "{{ x }}", "%(a)s", "?", "$1", ":name", "null", "NULL",
    "0", "-1", "true",
    "ＡＢＣ", " a ", "x" * 200, "[a]", "(", ".*", "^a$", "\u202eabc", "\ufeff", "1e3", "=1+1",
)  # fmt: skip
OPTIONS: Final = ("男", "女", "未知", "", "A", "'")
EMPTY: Final = (None, "", " ", "　")
INTEGERS: Final = (
    0, 1, 2, 3, 6, -1, 10, 100, 2**31, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63 - 2,
)  # fmt: skip
DECIMALS: Final = (
    0, -0.0, 0.1, 0.2, 0.3, 1.5, -2.5, 0.000001, 1 / 8, 123456789.123456, 999999999999, -999999999999, 3, 7.25,
)  # fmt: skip
AMOUNTS: Final = (
    0,
    0.01,
    0.1,
    0.2,
    0.3,
    12.5,
    -0.01,
    999.99,
    1000,
    9999.99,
    10000,
    92233720368547758,
    -92233720368547758,
)
DAYS: Final = (
    "2024-02-29", "2000-02-29", "2025-02-28", "2026-01-31", "2026-01-30", "2026-02-01", "2026-01-25", "2026-01-24",
    "2026-03-01",
    "2026-02-28", "2025-12-31", "2026-01-01", "2025-01-31", "1990-12-31", "1988-07-01", "1986-05-04", "1991-09-15",
    "1900-01-01",
    "0001-01-01", "9999-12-31", "2026-03-31", "2026-04-30", "1985-03-01",
)  # fmt: skip
MOMENTS: Final = (
    "2026-01-31 12:00:00", "2026-01-31 12:00:00.000001", "2026-01-31 11:59:59.999999", "2026-01-31 00:00:00",
    "2026-01-30 23:59:59.999999", "2026-01-30 12:00:00", "2026-01-25 00:00:00", "2026-01-24 23:59:59.999999",
    "2026-02-01 00:00:00", "2025-12-31 23:59:59.999999", "2026-01-01 00:00:00", "2024-02-29 00:00:00",
    "2024-02-29 23:59:59.999999", "2025-02-28 23:59:59", "1986-05-04 01:59:59", "1986-05-04 03:00:00",
    "1986-05-03 23:30:00", "1988-07-01 00:00:00", "1988-06-30T15:00:00Z", "1991-09-15 01:30:00", "1991-09-14T17:30:00Z",
    "1991-09-14T16:30:00Z", "1900-06-01 00:00:00", "0002-01-01 00:00:00", "9999-12-30 00:00:00", "2026-03-31 00:00:00",
    "2026-03-30 23:59:59.999999", "2025-12-31T16:00:00Z", "2026-01-28 09:30:00", "2026-01-29 09:30:00+00:00",
)  # fmt: skip

_FIELDS: Final = {
    "city": "text", "home": "text", "gender": "option", "level": "option", "items": "options", "wishes": "options",
    "age": "integer", "points": "integer", "score": "decimal", "rate": "decimal", "balance": "money",
    "deposit": "money",
    "active": "boolean", "birthday": "date", "wedding": "date", "seen_at": "datetime", "left_at": "datetime",
    "clinic_ids": "options",
}  # fmt: skip
_SOURCES: Final[Mapping[str, Json]] = {
    "purchase": {
        "time": "at",
        "fields": {"at": "datetime", "item": "text", "channel": "option", "quantity": "integer", "paid": "money",
                   "due": "money", "tags": "options", "gift": "boolean", "weight": "decimal", "sent_on": "date",
                   "clinic_id": "option"},
    },
    "appointment": {
        "time": "scheduled_at",
        "known_at": "created_at",
        "fields": {"scheduled_at": "datetime", "created_at": "datetime", "arrived_at": "datetime", "item": "text",
                   "channel": "option", "minutes": "integer", "clinic_id": "text"},
    },
    "card": {
        "time": "expires_on",
        "known_at": "bought_on",
        "fields": {"expires_on": "date", "bought_on": "date", "item": "text", "worth": "money", "channel": "option"},
    },
    "Event": {"time": "at", "fields": {"at": "datetime", "item": "text", "select": "text", "order": "integer"}},
}  # fmt: skip
"""Names that are words of SQL are there on purpose: whoever forgets to quote one is found out."""

CUSTOMERS: Final = 40
TAGS: Final = (1, 12, 15, 2**40)
SEGMENTS: Final = (7, 12)
CLINICS: Final = ("C1", "C2", "门诊'三", "c1", "C10")
EXCLUDED: Final[Sequence[tuple[str, ...]]] = ((), ("C1",), ("C2", "门诊'三", "nobody was there"), CLINICS)
"""The clinics without which a world is asked, by its seed."""


def poisoned_world(seed: int) -> World:
    """About 40 customers and some 300 rows, in which everything is that has broken engines."""
    random = Random(seed)
    keys = random.sample(range(1, 500), CUSTOMERS)
    members = {
        "zone": ZONE.key,
        "attributes": _FIELDS,
        "sources": _SOURCES,
        "customers": [{"id": key, **_values(random, _FIELDS)} for key in keys],
        "rows": {name: list(_rows(random, told["fields"], keys)) for name, told in _SOURCES.items()},
        "tags": {one: random.sample(keys, random.randint(0, 20)) for one in TAGS},
        "segments": {one: random.sample(keys, random.randint(0, 20)) for one in SEGMENTS},
        "excluded_clinics": list(EXCLUDED[seed % len(EXCLUDED)]),
    }
    notes = Notes()
    world = read_world(members, notes)
    if notes.problems:
        raise BadCaseFileError(*notes.problems)
    return world


def _rows(random: Random, fields: Mapping[str, str], keys: Sequence[int]) -> Iterator[Json]:
    # Some customers have no row, some have many, some rows are there twice.
    owners = random.sample(keys, len(keys) * 3 // 4)
    for _ in range(75):
        row = {"customer": random.choice(owners), **_values(random, fields)}
        yield row
        if random.random() < 0.1:
            yield row
        if random.random() < 0.2:
            yield {**row, **_values(random, dict(random.sample(sorted(fields.items()), 2)))}


def _values(random: Random, fields: Mapping[str, str]) -> Json:
    return {name: _stored(random, name, FieldType(kind)) for name, kind in fields.items() if random.random() < 0.85}


def _stored(random: Random, name: str, kind: FieldType) -> Json:
    if name == "clinic_id":
        return random.choice((*CLINICS, ""))
    if name == "clinic_ids":
        return random.choices(CLINICS, k=random.choice([0, 1, 1, 1, 2]))
    return _MAKERS[kind](random)


def _text_or_none(random: Random) -> Json:
    return random.choice(EMPTY) if random.random() < 0.1 else _text(random)


def _texts(random: Random) -> Json:
    return [_text(random) if random.random() < 0.2 else random.choice("abcd") for _ in range(random.randint(0, 4))]


def _integer(random: Random) -> Json:
    return random.choice(INTEGERS) if random.random() < 0.5 else random.randint(-5, 10)


def _decimal(random: Random) -> Json:
    return random.choice(DECIMALS) if random.random() < 0.5 else random.randint(-20, 60) / 4


def _amount(random: Random) -> Json:
    return random.choice(AMOUNTS) if random.random() < 0.4 else random.randint(-500, 200_000) / 100


def _day(random: Random) -> Json:
    return random.choice(DAYS) if random.random() < 0.5 else str(_near_day(random))


def _moment(random: Random) -> Json:
    return random.choice(MOMENTS) if random.random() < 0.5 else _near_moment(random)


_MAKERS: Final[Mapping[FieldType, Callable[[Random], Json]]] = {
    FieldType.TEXT: _text_or_none,
    FieldType.OPTION: lambda random: random.choice(OPTIONS),
    FieldType.OPTIONS: _texts,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.MONEY: _amount,
    FieldType.BOOLEAN: lambda random: random.choice([True, False, None]),
    FieldType.DATE: _day,
    FieldType.DATETIME: _moment,
}


def _text(random: Random) -> str:
    return random.choice(TEXTS)


def _near_day(random: Random) -> date:
    return date(2026, 1, 31) + timedelta(days=random.randint(-70, 70))


def _near_moment(random: Random) -> str:
    """Some moment around the first present, often one of a few, so that moments coincide."""
    day = _near_day(random) if random.random() < 0.5 else date(2026, 1, 31) - timedelta(days=random.randint(0, 9))
    return f"{day} {random.choice(['00:00:00', '09:30:00', '12:00:00', '23:59:59.999999'])}"
