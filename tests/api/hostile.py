"""Bodies that must never reach a route, by the vectors they stand for; each with the code and path of its refusal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hostile:
    """A body, and what is said about it: problems as (code, path)."""

    body: bytes
    problems: set[tuple[str, str]]


def one(body: bytes, code: str, path: str = "") -> Hostile:
    return Hostile(body, {(code, path)})


HOSTILE_BODIES = {
    "7 deep lists": one(b'{"name":' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
    "7 deep objects": one(b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "too_deep"),
    "7 deep and never closed": one(b"[" * 50_000, "too_deep"),
    "7 deep behind brackets in text": one(b'["]]]]]]]]]]]]]]]]",' + b"[" * 40 + b"]" * 41, "too_deep"),
    "11 one above 64 bits": one(b'{"a":9223372036854775808}', "integer_out_of_range", "/a"),
    "11 one below 64 bits": one(b'{"a":-9223372036854775809}', "integer_out_of_range", "/a"),
    "11 two to the 70th": one(b'{"a":[1180591620717411303424]}', "integer_out_of_range", "/a/0"),
    "11 five thousand digits": one(b'{"a":' + b"9" * 5_000 + b"}", "integer_out_of_range", "/a"),
    "11 1e400": one(b'{"a":1e400}', "number_out_of_range", "/a"),
    "12 NaN": one(b'{"x":NaN}', "not_a_finite_number", "/x"),
    "12 Infinity": one(b'{"x":Infinity}', "not_a_finite_number", "/x"),
    "12 -Infinity": one(b'{"x":[0,-Infinity]}', "not_a_finite_number", "/x/1"),
    "12 1e999": one(b'{"x":1e999}', "number_out_of_range", "/x"),
    "12 -1e999": one(b'{"x":-1e999}', "number_out_of_range", "/x"),
    "14 lone surrogate": one(b'{"a":"\\ud800"}', "lone_surrogate", "/a"),
    "14 lone low surrogate": one(b'{"a":["x","\\uDFFF"]}', "lone_surrogate", "/a/1"),
    "14 surrogates the wrong way round": one(b'{"a":"\\udc00\\ud800"}', "lone_surrogate", "/a"),
    "14 lone surrogate in a key": one(b'{"\\ud800":1}', "lone_surrogate", "/?"),
    "14 surrogate as bytes": one(b'{"a":"\xed\xa0\x80"}', "not_utf8"),
    "14 escaped NUL": one(b'{"a":"x\\u0000y"}', "nul_character", "/a"),
    "14 NUL in a key": one(b'{"a":{"\\u0000":1}}', "nul_character", "/a/\0"),
    "14 raw NUL": one(b'{"a":"x\x00y"}', "nul_character", "/a"),
    "14 raw line break in text": one(b'{"a":"x\ny"}', "invalid_json"),
    "14 Latin-1": one('{"a":"é"}'.encode("latin-1"), "not_utf8"),
    "14 overlong UTF-8": one(b'{"a":"\xc0\x80"}', "not_utf8"),
    "28 duplicate key": one(b'{"a":1,"a":2}', "duplicate_key"),
    "28 duplicate key inside": one(b'{"r":[{"a":1},{"b":1,"b":1}]}', "duplicate_key", "/r/1"),
    "28 duplicate key written with an escape": one(b'{"a":1,"\\u0061":2}', "duplicate_key"),
    "28 duplicate key below a/b and c~d": one(b'{"a/b":{"c~d":{"x":1,"x":1}}}', "duplicate_key", "/a~1b/c~0d"),
    "28 comment": one(b'{"a":1 /* one */}', "invalid_json"),
    "28 line comment": one(b'{"a":1} // one', "invalid_json"),
    "28 digits with underscore": one(b'{"a":1_000}', "invalid_json"),
    "28 hexadecimal": one(b'{"a":0x10}', "invalid_json"),
    "28 leading zero": one(b'{"a":01}', "invalid_json"),
    "28 plus sign": one(b'{"a":+1}', "invalid_json"),
    "28 foreign digits": one('{"a":١٢}'.encode(), "invalid_json"),
    "28 single quotes": one(b"{'a':1}", "invalid_json"),
    "28 trailing comma": one(b'{"a":1,}', "invalid_json"),
    "28 trailing garbage": one(b'{"a":1}x', "invalid_json"),
    "28 two values": one(b'{"a":1}{"a":1}', "invalid_json"),
    "28 no-break space": one(b'\xc2\xa0{"a":1}', "invalid_json"),
    "28 unfinished": one(b'{"a":', "invalid_json"),
    "28 byte order mark": one(b'\xef\xbb\xbf{"a":1}', "byte_order_mark"),
    "28 UTF-16": one('{"a":1}'.encode("utf-16"), "not_utf8"),
    "28 UTF-16 without mark": one('{"a":1}'.encode("utf-16-le"), "not_utf8"),
    "28 UTF-32": one('{"a":1}'.encode("utf-32-be"), "not_utf8"),
    "28 only spaces": one(b" \r\n\t", "empty_body"),
    "many at once": Hostile(
        b'{"a":NaN,"b":{"x":1,"x":"\\ud800\\u0000"},"c":[99999999999999999999,1e999]}',
        {
            ("not_a_finite_number", "/a"),
            ("duplicate_key", "/b"),
            ("lone_surrogate", "/b/x"),
            ("nul_character", "/b/x"),
            ("integer_out_of_range", "/c/0"),
            ("number_out_of_range", "/c/1"),
        },
    ),
}
