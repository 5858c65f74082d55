"""From a contract to SQL text: how a source value becomes a raw value, and when and why it cannot. Pure strings.

The rules of speed: a value that is already in its final spelling is recognised by cheap vectorised comparisons; only
the others are normalised. The SQL needs the macros of `MACROS` and a function `nfkc`. Running it belongs to `parse`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipelines.ingest.contracts import Column, Contract, raw_type
from pipelines.ingest.manifest import Window
from pipelines.ingest.spelling import Spelling

# Characters that NFKC leaves alone and that need no trimming: ASCII, ideographs, and the commonest Chinese marks.
PLAIN_CHARACTERS = (
    r"!-~\x{B7}\x{2013}\x{2014}\x{2018}\x{2019}\x{201C}\x{201D}\x{3001}-\x{3003}\x{3008}-\x{3011}\x{4E00}-\x{9FFF}"
)
# The commonest characters that NFKC replaces one by one: spares most texts the slower general function.
WIDE_MARKS, NARROW_MARKS = "（），：；！？％／＋＝～", "(),:;!?%/+=~"
# What is cut from both ends after NFKC, which has already turned every kind of space into a plain one.
TRIMMED = " \t\n\x0b\x0c\r\u200b\ufeff\u2028\u2029"
# Everything of which nothing is left after NFKC and trimming.
BLANK_CHARACTERS = TRIMMED + "\xa0\u2000-\u200a\u202f\u205f\u3000"
MACROS = (
    # NFKC and trim, empty becomes null; the branches before the last recognise text that is final already.
    f"""
    create macro normal_text(given) as case
        when given is null then null
        when strlen(given) = length(given) and given >= '!' and given[-1] >= '!' then given
        when given <> '' and not regexp_matches(given, '[^{PLAIN_CHARACTERS}]') then given
        when given <> '' and not regexp_matches(given, '[^{PLAIN_CHARACTERS}{WIDE_MARKS}]')
            then translate(given, '{WIDE_MARKS}', '{NARROW_MARKS}')
        else nullif(trim(nfkc(given), '{TRIMMED}'), '')
    end
    """,
    # The same for values that are hardly ever Chinese text; shorter, because planning it for every column takes time.
    f"""
    create macro tidy_text(given) as case
        when given is null then null
        when strlen(given) = length(given) and given >= '!' and given[-1] >= '!' then given
        else nullif(trim(nfkc(given), '{TRIMMED}'), '')
    end
    """,
    f"create macro is_blank(given) as not regexp_matches(given, '[^{BLANK_CHARACTERS}]')",
    # The parser's own list reader decides what is an array; anything else is text separated by bars.
    """
    create macro parsed_list(given) as case
        when ltrim(given)[1] = '[' then try(from_json(given, '["VARCHAR"]'))
        else string_split(given, '|')
    end
    """,
)
# Excel's day zero and mistyped years must not pass for moments; a birthday may lie earlier and has its own bound.
EARLIEST_DAY, EARLIEST_MOMENT, LATEST = "1800-01-01", "1900-01-01", "2200-01-01"
DAY_SPAN = f"between date '{EARLIEST_DAY}' and date '{LATEST}'"
MOMENT_SPAN = f"between timestamptz '{EARLIEST_MOMENT} 00:00:00+00' and timestamptz '{LATEST} 00:00:00+00'"
TRUE_WORDS, FALSE_WORDS = ("true", "1", "是"), ("false", "0", "否")
LARGEST_YUAN = "9999999999999.99"
FUTURE_TOLERANCE = timedelta(days=1)
UNREAD_CODES: Mapping[str, str] = {
    "option": "not_in_allowed",
    "boolean": "bad_boolean",
    "date": "bad_date",
    "datetime": "bad_datetime",
}
# Faults whose predicate only singles out some of the values that another of the same column calls unread.
PARTS_OF_UNREAD = {"too_many_decimals", "out_of_range", "not_a_whole_fen"}


@dataclass(frozen=True, slots=True)
class ArrivalBounds:
    """The instants between which `column` must lie, both inclusive; without `oldest` no row is too late."""

    column: str
    oldest: datetime | None
    newest: datetime


@dataclass(frozen=True, slots=True)
class ColumnSql:
    """How one contract column is read; `is_bad` and `code` see the source value `raw` and the result `value`."""

    name: str
    value: str
    is_bad: str
    code: str


def arrival_bounds(contract: Contract, window: Window) -> ArrivalBounds | None:
    """When a row of a batch is neither too late nor from the future, told by its time or version; None for numbers.

    From the future no row may come: as a version it would win its key for ever. Late is only what has a late-arrival
    rule, told from the window's start, so that a batch of a whole year may hold the year.
    """
    column = contract.time or contract.version
    if column is None or contract.column(column).type != "datetime":
        return None
    late = contract.late_arrival
    oldest = window.start - timedelta(days=late.accept_days) if late else None
    return ArrivalBounds(column, oldest=oldest, newest=window.end + FUTURE_TOLERANCE)


def column_sql(
    column: Column,
    *,
    raw: str,
    value: str,
    source_type: str,
    bounds: ArrivalBounds | None,
    spelling: Spelling = Spelling.ANY,
) -> ColumnSql:
    """The expressions of one column.

    `raw` and `value` are the identifiers of the source value and of the result, `source_type` the DuckDB type of
    `raw`. `bounds` only for the column they name. `value` is null for missing and for bad values. With FINAL spelling
    an empty value is null already.
    """
    source = raw if source_type == "VARCHAR" else f"cast({raw} as varchar)"
    is_list = source_type == "VARCHAR[]"
    is_final = spelling is Spelling.FINAL
    present = f"{raw} is not null" if is_list or is_final else f"{raw} is not null and not is_blank({source})"
    text = source if is_final else f"tidy_text({source})"
    unread = _unread(column, source=source, text=text, unread=f"{value} is null and {present}", is_list=is_list)
    more = [*_value_faults(column, value), *_arrival_faults(value, bounds)]
    if spelling is Spelling.ANY and column.type in {"text", "options"}:
        more.insert(0, ("nul_character", f"contains({source}, chr(0))"))
    # Missing or unread, a required value is null; its code tells which, and unread is told first.
    absent = [("missing_required", f"{value} is null")] if column.required else []
    whole = absent or [(code, fault) for code, fault in unread if code not in PARTS_OF_UNREAD]
    return ColumnSql(
        name=column.name,
        value=_value(column, raw=raw, source=source, text=text, source_type=source_type),
        is_bad=" or ".join(f"({fault})" for _, fault in [*whole, *more]) or "false",
        code=_first_code([*unread, *absent, *more]),
    )


def missing_column_sql(column: Column) -> ColumnSql:
    """The expressions of an optional column that the file does not have."""
    return ColumnSql(name=column.name, value=f"cast(null as {raw_type(column)})", is_bad="false", code="null")


def quote_literal(text: str) -> str:
    """A SQL string literal; for words of contracts and names of files, never for values from files."""
    return "'" + text.replace("'", "''") + "'"


def quote_identifier(name: str) -> str:
    """A SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _value(column: Column, *, raw: str, source: str, text: str, source_type: str) -> str:
    if column.type == "options":
        listed = _list_value(raw if source_type == "VARCHAR[]" else f"parsed_list({source})")
        if source_type != "VARCHAR" or text != source:
            return listed
        many = f"contains({source}, '|') or starts_with({source}, '[')"
        return f"case when {source} is null then null when {many} then {listed} else [{source}] end"
    if source_type.lower() != raw_type(column) or column.type in {"text", "option"} or column.unit == "yuan":
        return _from_text(column, source, text)
    spans = {"date": DAY_SPAN, "datetime": MOMENT_SPAN}
    return f"case when {raw} {spans[column.type]} then {raw} end" if column.type in spans else raw


def _from_text(column: Column, source: str, text: str) -> str:
    # The same expression twice would be evaluated twice for every value that is null.
    other = "" if text == source else text
    match column.type:
        case "text":
            return f"normal_text({source})" if other else source
        case "option":
            return _first(_allowed_value(column, source), other and _allowed_value(column, other))
        case "boolean":
            return _boolean_value(source, text)
        case "date":
            return _date_value(source, text)
        case "datetime":
            return _first(_moment_value(source), other and _moment_value(other))
        case _:
            return _yuan_value(source, text) if column.unit == "yuan" else _whole_value(source, text)


def _first(value: str, other: str) -> str:
    return f"coalesce({value}, {other})" if other else value


def _allowed_value(column: Column, source: str) -> str:
    # Not `in`, and no list function: both become joins, which evaluate their operands for every row, guarded or not.
    return f"cast(try_cast({source} as enum({_words(column.allowed or ())})) as varchar)"


def _boolean_value(source: str, text: str) -> str:
    words = [(word, truth) for truth, words in (("true", TRUE_WORDS), ("false", FALSE_WORDS)) for word in words]
    cases = " ".join(f"when {quote_literal(word)} then {truth}" for word, truth in words)
    return f"coalesce(case {source} {cases} end, case lower({text}) {cases} end)"


def _whole_value(source: str, text: str) -> str:
    # A cast alone would round 1.5 and read 1e3; a number that casts back to its own spelling is a whole number.
    number = f"try_cast({source} as bigint)"
    return (
        f"case when cast({number} as varchar) = {source} then {number}"
        f" when regexp_full_match({text}, '[+-]?[0-9]{{1,19}}([.]0*)?')"
        f" then try_cast(regexp_extract({text}, '^[^.]*') as bigint) end"
    )


def _yuan_value(source: str, text: str) -> str:
    # Decimals are exact; the cast would round a third decimal, so only spellings with at most two significant pass.
    amount, other = f"try_cast({source} as decimal(18, 2))", f"try_cast({text} as decimal(18, 2))"
    span = f"between -{LARGEST_YUAN} and {LARGEST_YUAN}"
    return (
        f"case when cast({amount} as varchar) = {source} and {amount} {span} then cast({amount} * 100 as bigint)"
        f" when regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]{{0,2}}0*)?') and {other} {span}"
        f" then cast({other} * 100 as bigint) end"
    )


def _date_value(source: str, text: str) -> str:
    day = f"try_cast({source} as date)"
    midnight = r"[0-9]{4}([-/])[0-9]{1,2}[-/][0-9]{1,2}([ T]00:00(:00([.]0+)?)?)?"
    span = DAY_SPAN
    return (
        f"case when cast({day} as varchar) = {source} and {day} {span} then {day}"
        f" when regexp_full_match({text}, '{midnight}') and try_cast({text} as date) {span}"
        f" then try_cast({text} as date) end"
    )


def _moment_value(source: str) -> str:
    moment = f"try_cast({source} as timestamptz)"
    return f"case when {moment} {MOMENT_SPAN} then {moment} end"


def _list_value(parsed: str) -> str:
    cleaned = f"list_filter(list_transform({parsed}, lambda item: normal_text(item)), lambda item: item is not null)"
    return f"nullif({cleaned}, cast([] as varchar[]))"


def _unread(column: Column, *, source: str, text: str, unread: str, is_list: bool) -> list[tuple[str, str]]:
    """(fault code, predicate) for a value that is there but cannot be read, in the order in which they are told."""
    digits = f"{unread} and regexp_full_match({text}, '[+-]?[0-9]+([.]0*)?')"
    match column.type:
        case "text":
            return []
        case "options":
            return [] if is_list else [("bad_list", f"{unread} and parsed_list({source}) is null")]
        case "integer":
            return [("out_of_range", digits), ("not_an_integer", unread)]
        case "money" if column.unit == "yuan":
            decimals = f"regexp_full_match({text}, '[+-]?[0-9]+[.][0-9]{{2,}}[1-9]0*')"
            amount = f"regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]*)?')"
            return [
                ("too_many_decimals", f"{unread} and {decimals}"),
                ("out_of_range", f"{unread} and {amount}"),
                ("not_a_number", unread),
            ]
        case "money":
            parts = f"{unread} and regexp_full_match({text}, '[+-]?[0-9]*[.][0-9]+')"
            return [("out_of_range", digits), ("not_a_whole_fen", parts), ("not_a_number", unread)]
        case _:
            return [(UNREAD_CODES[column.type], unread)]


def _arrival_faults(value: str, bounds: ArrivalBounds | None) -> list[tuple[str, str]]:
    if bounds is None:
        return []
    late = [("too_late", f"{value} < {_moment(bounds.oldest)}")] if bounds.oldest else []
    return [*late, ("from_the_future", f"{value} > {_moment(bounds.newest)}")]


def _first_code(faults: list[tuple[str, str]]) -> str:
    if not faults:
        return "null"
    return "case " + " ".join(f"when {fault} then '{code}'" for code, fault in faults) + " end"


def _value_faults(column: Column, value: str) -> list[tuple[str, str]]:
    """(fault code, predicate) for a value that was read but that the contract does not allow."""
    faults = [
        ("out_of_range", f"{value} {sign} {_bound(column, bound)}")
        for sign, bound in (("<", column.min), (">", column.max))
        if bound is not None
    ]
    if column.type == "options" and column.allowed is not None:
        faults.append(("not_in_allowed", f"not list_has_all([{_words(column.allowed)}], {value})"))
    return faults


def _bound(column: Column, bound: int | date) -> str:
    if isinstance(bound, date):
        return f"date '{bound.isoformat()}'"
    return str(bound * 100 if column.unit == "yuan" else bound)


def _moment(moment: datetime) -> str:
    return f"timestamptz '{moment.isoformat()}'"


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(quote_literal(word) for word in words)
