"""Small worlds of source records for identity's tests: records, evidence, operator rows, and a night over them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone

import duckdb

from pipelines.identity.resolve import IdentityConfig, NightSummary, resolve_night
from pipelines.identity.touched import PART_AT_MOST

SHANGHAI = timezone(timedelta(hours=8))
FIRST_NIGHT = date(2026, 11, 1)


@dataclass(frozen=True)
class Record:
    key: str
    kind: str = "patient"
    first_seen_at: datetime | None = datetime(2026, 1, 1, tzinfo=SHANGHAI)
    name_norm: str | None = None
    birth_date: date | None = None
    id_number: str | None = None
    is_minor: bool = False


@dataclass(frozen=True)
class Fact:
    key: str
    value_type: str
    value: str | None
    tier: int = 3
    position: int = 0


@dataclass(frozen=True)
class Said:
    """An operator's row."""

    id: str
    kind: str
    a: str
    b: str | None = None
    valid_from: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class World:
    records: tuple[Record, ...] = ()
    facts: tuple[Fact, ...] = ()
    blocked: tuple[tuple[str, str], ...] = ()
    said: tuple[Said, ...] = ()

    def plus(self, *others: "World") -> "World":
        worlds = (self, *others)
        return World(*(sum((getattr(w, part) for w in worlds), ()) for part in ("records", "facts", "blocked", "said")))

    def without(self, *keys: str) -> "World":
        return replace(
            self,
            records=tuple(record for record in self.records if record.key not in keys),
            facts=tuple(fact for fact in self.facts if fact.key not in keys),
        )

    def without_facts(self, *facts: tuple[str, str]) -> "World":
        """Without the evidence of these (key, value)."""
        return replace(self, facts=tuple(fact for fact in self.facts if (fact.key, fact.value) not in facts))

    def saying(self, *said: Said) -> "World":
        return replace(self, said=said)

    def shuffled(self, seed: int) -> "World":
        rng = random.Random(seed)
        return World(
            *(tuple(rng.sample(part, len(part))) for part in (self.records, self.facts, self.blocked, self.said))
        )


def day(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=SHANGHAI) + timedelta(days=number)


def patient(
    key: str, name: str | None = None, *, seen: int = 0, phone: str | None = None, **attributes: object
) -> World:
    return _one(Record(f"patient:saas:{key}", "patient", day(seen), name, **attributes), phone, 3)


def fan(key: str, *, seen: int = 0, unionid: str | None = None, phone: str | None = None) -> World:
    return _one(Record(f"official_account_fan:wx:{key}", "official_account_fan", day(seen)), phone, 3, unionid)


def mini(key: str, *, seen: int = 0, unionid: str | None = None, phone: str | None = None) -> World:
    return _one(Record(f"mini_program_user:wx:{key}", "mini_program_user", day(seen)), phone, 3, unionid)


def wecom(key: str, *, seen: int = 0, unionid: str | None = None, phone: str | None = None) -> World:
    return _one(Record(f"wecom_contact:corp:{key}", "wecom_contact", day(seen)), phone, 4, unionid)


def lead(key: str, *, seen: int = 0, phone: str | None = None) -> World:
    return _one(Record(f"lead:leads:{key}", "lead", day(seen)), phone, 5)


def _one(record: Record, phone: str | None, tier: int, unionid: str | None = None) -> World:
    facts = []
    if phone is not None:
        facts.append(Fact(record.key, "phone", phone, tier))
    if unionid is not None:
        facts.append(Fact(record.key, "unionid", unionid, 2))
    return World((record,), tuple(facts))


def phone(number: int) -> str:
    return f"+861390000{number:04d}"


@dataclass
class Nights:
    """A warehouse in which nights run one after the other."""

    con: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    config: IdentityConfig = field(default_factory=IdentityConfig)
    part_at_most: float = PART_AT_MOST
    night: date = FIRST_NIGHT - timedelta(days=1)

    def __post_init__(self) -> None:
        self.con.execute("set threads = 1; set TimeZone = 'Asia/Shanghai'")

    def next(self, world: World) -> NightSummary:
        """Run one more night."""
        self.night += timedelta(days=1)
        return self.again(world)

    def again(self, world: World) -> NightSummary:
        """Run the last night (again)."""
        load(self.con, world)
        return resolve_night(
            self.con,
            night=self.night,
            config=self.config,
            identities="identities",
            evidence="evidence",
            blocked="blocked",
            overrides="overrides",
            part_at_most=self.part_at_most,
        )

    def rows(self, query: str) -> list[tuple]:
        return self.con.execute(query).fetchall()

    def ids(self) -> dict[str, str]:
        """The id of every record that is present."""
        return dict(self.rows("select key, one_id from identity.assignment where present"))

    def id_of(self, key: str) -> str:
        ((one_id,),) = self.rows(f"select one_id from identity.assignment where key like '%:{key}'")
        return one_id

    def together(self) -> set[frozenset[str]]:
        """Tonight's customers as sets of the last part of their keys."""
        groups: dict[str, set[str]] = {}
        for key, one_id in self.ids().items():
            groups.setdefault(one_id, set()).add(key.split(":")[-1])
        return {frozenset(group) for group in groups.values()}

    def events(self) -> list[tuple]:
        """Last night's (event, last part of key, from_id, to_id)."""
        return self.rows(f"""
            select event, split_part(key, ':', 3), from_id, to_id
            from identity.event where night = '{self.night}' order by seq
        """)

    def tables(self) -> dict[str, list[tuple]]:
        """Everything that a night leaves, in one order."""
        names = ("assignment", "registry", "event", "value_state", "conflict", "carried", "seen", "override_seen")
        return {name: self.rows(f"select * from identity.{name} order by all") for name in names}


def load(con: duckdb.DuckDBPyConnection, world: World) -> None:
    """Write the world as the four input relations."""
    con.execute("""
        create or replace table identities (key varchar, kind varchar, scope varchar, source_id varchar,
            first_seen_at timestamptz, name_norm varchar, birth_date date, id_number varchar, is_minor boolean);
        create or replace table evidence (key varchar, value_type varchar, value varchar, tier integer,
            position integer);
        create or replace table blocked (value_type varchar, value varchar, reason varchar);
        create or replace table overrides (id varchar, kind varchar, a varchar, b varchar, operator varchar,
            reason varchar, valid_from timestamptz, revoked_at timestamptz);
    """)
    _insert(
        con,
        "identities",
        [
            (r.key, r.kind, "s", r.key, r.first_seen_at, r.name_norm, r.birth_date, r.id_number, r.is_minor)
            for r in world.records
        ],
    )
    _insert(con, "evidence", [(f.key, f.value_type, f.value, f.tier, f.position) for f in world.facts])
    _insert(con, "blocked", [(value_type, value, "test") for value_type, value in world.blocked])
    _insert(con, "overrides", [(s.id, s.kind, s.a, s.b, "op", "why", s.valid_from, s.revoked_at) for s in world.said])


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple]) -> None:
    if rows:
        marks = ", ".join("?" for _ in rows[0])
        values = ", ".join(f"({marks})" for _ in rows)
        con.execute(f"insert into {table} values {values}", [cell for row in rows for cell in row])
