"""What counts as the same phone and the same name: canonical texts, once for SQL and once for Python.

The SQL expressions are the originals; `dbt_project/macros` carries the same text and a test holds the two together.
Which values may join anybody is decided in `value_states.py`, not here.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

import phonenumbers

_FULL_WIDTH: Final = "０１２３４５６７８９＋－"
_HALF_WIDTH: Final = "0123456789+-"
# An extension ends the number ("转", "ext.", "x", "#" …); every other sign only groups digits. Dashes stay for a
# moment, because "0755-83512345-801" says by its last dash where the extension begins. What follows a comma or a
# semicolon is an extension only with at most six digits; else it stays, and the text is no phone but several.
_NOISE: Final = "(?:转|分机|[Ee]xt|[xX#*]).*$|[,;](?:[^0-9]*[0-9]){0,6}[^0-9]*$|[^0-9+,;-]"
_EXTENSION: Final = "(?:-+[0-9]{1,6})?$"
_COUNTRY: Final = "(?:[+]|00)?86"

# Tried in this order: name, pattern with the significant digits as its first group, prefix of the result.
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "mobile": (f"^(?:{_COUNTRY})?-*0?(1-*[3-9](?:-*[0-9]){{9}}){_EXTENSION}", "+86"),
    "service number": (f"^(?:{_COUNTRY})?-*([48]-*0-*0(?:-*[0-9]){{7}}){_EXTENSION}", "+86"),
    "landline": (
        f"^(?:(?:{_COUNTRY})?-*0|(?:[+]|00)86-*)((?:10|2[0-9]|[3-9][0-9]{{2}})-*[2-9][0-9]{{2,3}}-*[0-9]{{4}}){_EXTENSION}",
        "+86",
    ),
    "abroad": ("^(?:[+]|00)-*((?:[1-79]-*[0-9]|8-*[0-57-9])(?:-*[0-9]){5,12})$", "+"),
}

_NAME_REMARKS: Final = r"[(（\[【].*?[)）\]】]"
_NAME_SIGNS: Final = r"[\s·•・.,，。_*-]"
_NAME_COUNTERS: Final = "[0-9]+$"
_NO_NAMES: Final = ("未知", "无", "无名", "无名氏", "匿名", "不详", "测试", "患者", "test", "unknown", "null", "none")


def phone_e164_sql(column: str) -> str:
    """SQL expression: the phone in `column` in E.164, or null when the text is none.

    Mainland mobiles pass one regular expression; only other texts are cleaned (full-width digits, blanks, dashes,
    brackets, +86/0086/86, a trunk 0, extensions). Landlines (with area code), 400/800 numbers and numbers abroad with
    + or 00 are recognised by form; two numbers in one text are none. `column` must be an identifier or a bound
    parameter.
    """
    cleaned = f"regexp_replace(translate({column}, '{_FULL_WIDTH}', '{_HALF_WIDTH}'), '{_NOISE}', '', 'g')"
    forms = ",\n        ".join(
        f"'{prefix}' || nullif(replace(regexp_extract({cleaned}, '{pattern}', 1), '-', ''), '')"
        for pattern, prefix in _FORMS.values()
    )
    return f"""case
    when regexp_full_match({column}, '1[3-9][0-9]{{9}}') then '+86' || {column}
    when regexp_full_match({column}, '[+]861[3-9][0-9]{{9}}') then {column}
    else coalesce(
        {forms}
    )
end"""


def phone_e164(text: str) -> str | None:
    """The phone in `text` in E.164, or None when it is none.

    Agrees with `phone_e164_sql` wherever that knows the form; other texts take the slow path through phonenumbers,
    read as dialled from mainland China.
    """
    cleaned = re.sub(_NOISE, "", text.translate(str.maketrans(_FULL_WIDTH, _HALF_WIDTH)))
    for pattern, prefix in _FORMS.values():
        found = re.match(pattern, cleaned)
        if found:
            return prefix + found[1].replace("-", "")
    # The library would take the first of several numbers, and nobody knows whose the second is.
    return None if re.search("[,;]", cleaned) else _phone_by_library(text)


def name_norm_sql(column: str) -> str:
    """SQL expression: the name in `column` as it is compared, or null when it names nobody.

    Lower case, without blanks, middle dots, remarks in brackets ("王芳（女儿）") and counters ("王芳2"); names that
    stand for "no name" are null. The column must be NFKC-normalised, as raw tables are.
    """
    bare = f"regexp_replace(lower({column}), '{_NAME_REMARKS}|{_NAME_SIGNS}', '', 'g')"
    no_names = ", ".join(f"'{name}'" for name in ("", *_NO_NAMES))
    name = f"regexp_replace({bare}, '{_NAME_COUNTERS}', '')"
    return f"case when {name} not in ({no_names}) then {name} end"


def name_norm(text: str) -> str | None:
    """The name in `text` as it is compared, or None when it names nobody; see `name_norm_sql`."""
    bare = re.sub(f"{_NAME_REMARKS}|{_NAME_SIGNS}", "", unicodedata.normalize("NFKC", text).lower())
    name = re.sub(_NAME_COUNTERS, "", bare)
    return name if name not in ("", *_NO_NAMES) else None


def masked_sql(value_type: str, value: str) -> str:
    """SQL expression: `value` as people may see it beside its type; a binding names a record and stays as it is."""
    return f"case when {value_type} = 'binding' then {value} else {masked_value_sql(value)} end"


def masked_value_sql(value: str) -> str:
    """SQL expression: a phone number without its middle; of any other text at most the last two characters.

    `+8613812345678` → `+86138****5678`; a unionid, two numbers in one field or a remark → `****` and two characters.
    """
    return f"""case
    when regexp_full_match({value}, '[+]?[0-9]{{11,15}}')
        then left({value}, length({value}) - 8) || '****' || right({value}, 4)
    when length({value}) >= 7 then '****' || right({value}, 2)
    when {value} is not null then '****'
end"""


def _phone_by_library(text: str) -> str | None:
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
