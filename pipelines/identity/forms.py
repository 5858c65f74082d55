"""What the files of `cdp identity resolve` look like: their columns, and how a cell becomes a value.

Values are SQL expressions over cells, in which an empty text is null already. Reading files belongs to `given.py`.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pipelines.identity.encode import TIER_BITS
from pipelines.identity.keys import name_norm_sql, phone_e164_sql
from pipelines.identity.model import KINDS
from pipelines.identity.overrides import KINDS_OF_OVERRIDE

NFKC: Final = "identity_nfkc"
"""The SQL function that NFKC-normalises a text."""
TEXTS: Final = "VARCHAR|ENUM.*"
"""Types of Parquet (a pattern) that are texts."""
_WHOLES: Final = "U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER"
_MOMENTS: Final = "TIMESTAMP.*|DATE"


class Holds(NamedTuple):
    """What cells of a column may hold, in words; the types of Parquet it is read from (a pattern); the value, or null.

    code: of the problem of a cell without value
    """

    zh: str
    en: str
    types: str
    value: str
    code: str = "wrong_value"


class Column(NamedTuple):
    """One column; `filled` is SQL for the rows in which its cell must not be empty."""

    name: str
    holds: Holds
    required: bool = False
    filled: str = "false"

    @property
    def value(self) -> str:
        return self.holds.value.format(cell=self.name)

    @property
    def is_wrong(self) -> str:
        return f"({self.name} is not null and {self.value} is null)"

    @property
    def is_empty(self) -> str:
        return f"({self.filled} and {self.name} is null)"


@dataclass(frozen=True, slots=True)
class Form:
    """The columns of a file, and the select list of the relation that is made of their values.

    counts: SQL for the rows that are looked at; name_of_row: SQL for what a refused row is called
    """

    name: str
    columns: tuple[Column, ...]
    relation: str
    counts: str
    name_of_row: str


def _words(*words: str, code: str) -> Holds:
    listed = ", ".join(f"'{word}'" for word in words)
    value = f"case when {{cell}} in ({listed}) then {{cell}} end"
    return Holds(f" {'、'.join(words)} 之一", f"one of {', '.join(words)}", TEXTS, value, code)


def _whole(low: int, high: int) -> Holds:
    number = "try_cast({cell} as bigint)"
    is_spelt = r"regexp_full_match({cell}::varchar, '[+-]?[0-9]+([.]0*)?')"
    value = f"case when {is_spelt} and {number} between {low} and {high} then {number} end"
    return Holds(
        f" {low} 至 {high} 的整数", f"a whole number from {low} to {high}", f"{TEXTS}|{_WHOLES}|FLOAT|DOUBLE", value
    )


TEXT: Final = Holds("文本", "text", f"{TEXTS}|UUID|{_WHOLES}", "{cell}")
NAME: Final = TEXT._replace(value=f"{NFKC}({{cell}})")
MOMENT: Final = Holds(
    "时间(如 2026-11-20 08:30:00)",
    "a timestamp like 2026-11-20 08:30:00",
    f"{TEXTS}|{_MOMENTS}",
    "case when isfinite(try_cast({cell} as timestamptz)) then try_cast({cell} as timestamptz) end",
)
DAY: Final = Holds(
    "日期(如 2026-11-20)",
    "a date like 2026-11-20",
    f"{TEXTS}|{_MOMENTS}",
    "case when isfinite(try_cast({cell} as date)) then try_cast({cell} as date) end",
)
FLAG: Final = Holds(
    " true 或 false",
    "true or false",
    f"{TEXTS}|BOOLEAN|{_WHOLES}",
    "case lower({cell}::varchar) when 'true' then true when '1' then true when '是' then true "
    "when 'false' then false when '0' then false when '否' then false end",
)

IDENTITIES: Final = Form(
    "identities",
    (
        Column("key", TEXT, required=True, filled="true"),
        Column("kind", _words(*KINDS, code="unknown_kind"), required=True, filled="true"),
        Column("first_seen_at", MOMENT, required=True),
        Column("name", NAME),
        Column("birth_date", DAY),
        Column("id_number", TEXT),
        Column("is_minor", FLAG),
    ),
    rf"""
        key, kind, first_seen_at, {name_norm_sql("name")} as name_norm, birth_date,
        nullif(upper(regexp_replace(id_number, '\s', '', 'g')), '') as id_number, is_minor
    """,
    counts="true",
    name_of_row="key",
)
EVIDENCE: Final = Form(
    "evidence",
    (
        Column("key", TEXT, required=True),
        Column("value_type", TEXT, required=True, filled="true"),
        Column("value", TEXT, required=True),
        Column("tier", _whole(0, 5)),
        Column("position", _whole(0, (1 << TIER_BITS) - 1)),
    ),
    f"""
        key, value_type,
        case when value_type = 'phone' then coalesce({phone_e164_sql("value")}, value) else value end as value,
        tier, position
    """,
    counts="value is not null",
    name_of_row="key",
)
# A row without an id is called by what it says, so that the order of rows means nothing.
_NAME_OF_OVERRIDE: Final = "coalesce(id, concat_ws(' ', kind, a, b))"
OVERRIDES: Final = Form(
    "overrides",
    (
        Column("kind", _words(*KINDS_OF_OVERRIDE, code="unknown_override"), required=True, filled="true"),
        Column("a", TEXT, required=True, filled="true"),
        Column("b", TEXT, required=True, filled="kind not in ('block', 'allow')"),
        Column("id", TEXT),
        Column("valid_from", MOMENT),
        Column("revoked_at", MOMENT),
    ),
    # A value that is a phone stands for itself and for the phone in E.164, as the evidence may hold either.
    f"""
        {_NAME_OF_OVERRIDE} as id, kind, valid_from, revoked_at,
        unnest(
            list_distinct([
                {{a: a, b: b}},
                {{
                    a: case when kind in ('block', 'allow', 'owner') then coalesce({phone_e164_sql("a")}, a) else a end,
                    b: case when kind = 'detach' then coalesce({phone_e164_sql("b")}, b) else b end
                }}
            ]),
            recursive := true
        )
    """,
    counts="true",
    name_of_row=_NAME_OF_OVERRIDE,
)
