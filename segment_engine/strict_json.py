"""JSON read so that nobody after can read it differently, and nothing in it can surprise a database.

Refused beyond the grammar: duplicate keys, NaN and infinities, integers beyond 64 bits, lone surrogates, NUL, deep
nesting, other encodings than UTF-8. Pure; what the value means is said by those who asked for it.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from segment_engine.document import INT64
from segment_engine.problems import Problem, pointer

INT64_DIGITS = 20  # with its sign


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much JSON is read: bytes of the text, levels of objects and lists."""

    max_bytes: int = 64 * 1024
    max_depth: int = 32


@dataclass(frozen=True, slots=True)
class Called:
    """How the text is called where it is refused."""

    zh: str
    en: str


BODY = Called("请求体", "body")
FILE = Called("文件", "file")


class NotStrictJsonError(Exception):
    """The text is not JSON as it is read here; carries every problem that can be told."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message_en for problem in problems))
        self.problems = problems


class JsonTooLargeError(NotStrictJsonError):
    """The text has more bytes than are read."""


def parse_json(content: bytes, limits: JsonLimits, thing: Called = BODY) -> Any:
    """The value of a JSON text. Raises NotStrictJsonError, which is JsonTooLargeError above `limits.max_bytes`.

    A text without fault is parsed once by the C scanner; only a suspicious one is read again to say where it is wrong.
    """
    text = _text(content, limits, thing)
    if _deeper_than(text, limits.max_depth):
        raise NotStrictJsonError(_too_deep(limits.max_depth))
    try:
        value = _QUICK.decode(text)
    except _SuspiciousError:
        raise NotStrictJsonError(*_faults(text)) from None
    except json.JSONDecodeError as error:
        raise NotStrictJsonError(*_faults(text) or (_syntax(error),)) from None
    if _SUSPICIOUS_ESCAPE.search(text) and (problems := _faults(text)):
        raise NotStrictJsonError(*problems)
    return value


def canonical_json(value: Any) -> bytes:
    """The one text of a parsed value: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def too_large(max_bytes: int, thing: Called = BODY) -> Problem:
    """What is said of a text above its cap."""
    told = f"{thing.zh}过大,最多 {max_bytes} 字节", f"The {thing.en} is larger than {max_bytes} bytes."
    return Problem(f"{thing.en}_too_large", "", *told)


def _text(content: bytes, limits: JsonLimits, thing: Called) -> str:
    if len(content) > limits.max_bytes:
        raise JsonTooLargeError(too_large(limits.max_bytes, thing))
    if content[:3] == b"\xef\xbb\xbf":
        told = f"{thing.zh}不能以 BOM 开头", f"The {thing.en} must not begin with a byte order mark."
        raise NotStrictJsonError(Problem("byte_order_mark", "", *told))
    try:
        # UTF-16 of plain letters is valid UTF-8 with NULs in it.
        text = content.decode("utf-8") if json.detect_encoding(content) == "utf-8" else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        told = f"{thing.zh}应为 UTF-8 编码", f"The {thing.en} is not UTF-8."
        raise NotStrictJsonError(Problem("not_utf8", "", *told))
    if not text.strip(" \t\r\n"):
        raise NotStrictJsonError(Problem(f"empty_{thing.en}", "", f"{thing.zh}为空", f"The {thing.en} is empty."))
    return text


# A string that is not closed reaches to the end, so each character is looked at once.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET = re.compile(r"[^\[\]{}]+")


def _deeper_than(text: str, max_depth: int) -> bool:
    if text.count("[") + text.count("{") <= max_depth:
        return False
    depth = 0
    for bracket in _NO_BRACKET.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            return True
    return False


class _SuspiciousError(Exception):
    """Something that the quick reading leaves to the thorough one."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _SuspiciousError
    return members


def _integer(text: str) -> int:
    if len(text) > INT64_DIGITS or (number := int(text)) not in INT64:
        raise _SuspiciousError
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _SuspiciousError
    return number


def _constant(text: str) -> Any:
    raise _SuspiciousError


_QUICK = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


# The thorough reading keeps members as they stand and puts a problem's kind where no value can be.


@dataclass(frozen=True, slots=True)
class _Members:
    pairs: list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class _Fault:
    code: str


def _or_fault(code: str, read: Any) -> Any:
    def reading(text: str) -> Any:
        try:
            return read(text)
        except _SuspiciousError:
            return _Fault(code)

    return reading


_THOROUGH = json.JSONDecoder(
    object_pairs_hook=_Members,
    parse_int=_or_fault("integer_out_of_range", _integer),
    parse_float=_or_fault("number_out_of_range", _float),
    parse_constant=_or_fault("not_a_finite_number", _constant),
    strict=False,  # a raw NUL is a fault with a place
)


def _faults(text: str) -> tuple[Problem, ...]:
    try:
        tree = _THOROUGH.decode(text)
    except json.JSONDecodeError as error:
        return (_syntax(error),)
    return tuple(_problem(code, path) for code, path in _found(tree, ()))


def _found(node: Any, path: tuple[object, ...]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Every fault of a tree and its place; recursion ends at the depth that the scan allowed."""
    match node:
        case _Fault(code):
            yield code, path
        case str():
            yield from ((code, path) for code in _faults_of_string(node))
        case list():
            for index, item in enumerate(node):
                yield from _found(item, (*path, index))
        case _Members(pairs):
            if any(times > 1 for times in Counter(key for key, _ in pairs).values()):
                yield "duplicate_key", path
            for key, item in pairs:
                yield from ((code, (*path, key)) for code in _faults_of_string(key))
                yield from _found(item, (*path, key))


_SURROGATE = re.compile("[\ud800-\udfff]")


def _faults_of_string(text: str) -> Iterator[str]:
    if "\0" in text:
        yield "nul_character"
    if _SURROGATE.search(text):
        yield "lone_surrogate"


_WORDS = {
    "duplicate_key": ("对象中有重复的字段名", "A key occurs twice in this object."),
    "integer_out_of_range": ("整数超出 64 位范围", "The integer does not fit 64 bits."),
    "number_out_of_range": ("数值过大", "The number is too large."),
    "not_a_finite_number": ("不允许 NaN 或 Infinity", "NaN and Infinity are not JSON."),
    "nul_character": ("文本不能包含空字符 (U+0000)", "Text must not contain the character U+0000."),
    "lone_surrogate": ("文本含有不成对的代理字符", "Text contains half of a surrogate pair."),
}


def _problem(code: str, path: tuple[object, ...]) -> Problem:
    return Problem(code, pointer(path), *_WORDS[code])


def _syntax(error: json.JSONDecodeError) -> Problem:
    return Problem(
        "invalid_json",
        "",
        f"不是有效的 JSON(第 {error.lineno} 行第 {error.colno} 列)",
        f"Not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}.",
    )


def _too_deep(max_depth: int) -> Problem:
    return Problem(
        "too_deep", "", f"嵌套过深,最多 {max_depth} 层", f"Nested deeper than {max_depth} levels of objects and lists."
    )
