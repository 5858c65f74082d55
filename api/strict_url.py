"""Paths and query strings read in one way only; what a parameter's value may be is said in `api.shapes`."""

import re
from collections import Counter
from urllib.parse import unquote_to_bytes

from segment_engine.problems import Problem, pointer

MAX_QUERY_BYTES = 8 * 1024
MAX_PARAMETERS = 100

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def check_path(raw: bytes) -> tuple[Problem, ...]:
    """What is wrong with a path as it came, percent-encoded; nothing when it is fine."""
    return () if _decoded(raw) is not None else (NOT_TEXT_PATH,)


def check_query(raw: bytes) -> tuple[Problem, ...]:
    """What is wrong with a query string as it came, without its `?`; nothing when it is fine.

    Refused: too long, too many parameters, what is not percent-encoded UTF-8, NUL, a parameter given twice.
    """
    if len(raw) > MAX_QUERY_BYTES:
        return (QUERY_TOO_LONG,)
    parts = [part for part in raw.split(b"&") if part]
    if len(parts) > MAX_PARAMETERS:
        return (TOO_MANY_PARAMETERS,)
    problems: list[Problem] = []
    names: Counter[str] = Counter()
    for part in parts:
        raw_name, _, raw_value = part.replace(b"+", b" ").partition(b"=")
        name = _decoded(raw_name)
        if name is None:
            problems.append(_not_text("/query"))
            continue
        names[name] += 1
        if _decoded(raw_value) is None:
            problems.append(_not_text(pointer(("query", name))))
    return (*problems, *(_repeated(name) for name, times in names.items() if times > 1))


def _decoded(raw: bytes) -> str | None:
    """The text, or None: raw bytes above ASCII are refused too, since frameworks take them for Latin-1."""
    if not raw.isascii() or _BAD_PERCENT.search(raw):
        return None
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _not_text(path: str) -> Problem:
    return Problem(
        "not_utf8", path, "应为百分号编码的 UTF-8 文本,且不含空字符", "Not percent-encoded UTF-8 text without NUL."
    )


def _repeated(name: str) -> Problem:
    return Problem(
        "repeated_parameter", pointer(("query", name)), "参数只能出现一次", "The parameter may be given only once."
    )


NOT_TEXT_PATH = Problem(
    "path_not_utf8", "", "路径应为百分号编码的 UTF-8 文本", "The path is not percent-encoded UTF-8 text."
)
QUERY_TOO_LONG = Problem(
    "query_too_long",
    "/query",
    f"查询字符串过长,最多 {MAX_QUERY_BYTES} 字节",
    f"The query is longer than {MAX_QUERY_BYTES} bytes.",
)
TOO_MANY_PARAMETERS = Problem(
    "too_many_parameters",
    "/query",
    f"查询参数过多,最多 {MAX_PARAMETERS} 个",
    f"The query has more than {MAX_PARAMETERS} parameters.",
)
