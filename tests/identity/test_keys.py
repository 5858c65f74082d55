from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from pipelines.identity.keys import masked_sql, name_norm, name_norm_sql, phone_e164, phone_e164_sql

MACROS = Path(__file__).parents[2] / "dbt_project" / "macros"
CON = duckdb.connect()

PHONES = {
    "13812345678": "+8613812345678",
    "+8613812345678": "+8613812345678",
    "+86 138 1234 5678": "+8613812345678",
    "0086-138-1234-5678": "+8613812345678",
    "8613812345678": "+8613812345678",
    "013812345678": "+8613812345678",
    "１３８１２３４５６７８": "+8613812345678",
    "＋８６１３８－１２３４－５６７８": "+8613812345678",
    " 138 1234 5678 ": "+8613812345678",
    "13812345678转8001": "+8613812345678",
    "13812345678 ext. 5": "+8613812345678",
    "13812345678-801": "+8613812345678",
    "13812345678,801": "+8613812345678",
    "13812345678; 王女士": "+8613812345678",
    "13812345678,13912345678": None,
    "13812345678; 139 1234 5678": None,
    "13812345678/13912345678": None,
    "0755-83512345,13912345678": None,
    "+1234567,1234567": None,
    "0755-83512345": "+8675583512345",
    "(0755) 8351 2345": "+8675583512345",
    "0755-83512345-801": "+8675583512345",
    "010-8888-8888转801": "+861088888888",
    "+86 10 8888 8888": "+861088888888",
    "4008001234": "+864008001234",
    "400-800-1234": "+864008001234",
    "+852 9123 4567": "+85291234567",
    "0085291234567": "+85291234567",
    "83512345": None,
    "11111111111": None,
    "1381234567": None,
    "138123456789": None,
    "微信同号": None,
    "": None,
}


def _sql(expression: str, text: str | None) -> str | None:
    ((value,),) = CON.execute(f"select {expression} from (select $text::varchar as x)", {"text": text}).fetchall()
    return value


@pytest.mark.parametrize(("text", "phone"), PHONES.items())
def test_phone_has_one_form_in_sql_and_python(text: str, phone: str | None):
    assert _sql(phone_e164_sql("x"), text) == phone
    assert phone_e164(text) == phone


def test_missing_phone_stays_missing():
    assert _sql(phone_e164_sql("x"), None) is None


@settings(deadline=None)  # the machine may be busy
@given(
    st.from_regex(r"\A1[3-9][0-9]{9}\Z"),
    st.sampled_from(["", "+86", "0086", "86", "0", "+86 ", "（+86）", "+86-"]),
    st.sampled_from(["", " ", "-"]),
    st.sampled_from(["", "转12", "ext3", "-801", " #4", " x5"]),
)
def test_any_spelling_of_a_mainland_mobile_is_that_mobile(mobile: str, prefix: str, gap: str, extension: str):
    text = prefix + gap.join((mobile[:3], mobile[3:7], mobile[7:])) + extension

    assert phone_e164(text) == "+86" + mobile
    assert _sql(phone_e164_sql("x"), text) == "+86" + mobile


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="0123456789+- ()x转,;１２８", max_size=26))
def test_sql_never_contradicts_python(text: str):
    by_sql = _sql(phone_e164_sql("x"), text)

    assert by_sql in (None, phone_e164(text))


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="0123456789+- ()x转,;１２８", max_size=26))
def test_normalising_a_phone_twice_changes_nothing(text: str):
    once = _sql(phone_e164_sql("x"), text)

    assert once is None or _sql(phone_e164_sql("x"), once) == once


def test_number_abroad_in_national_form_takes_the_slow_path():
    assert phone_e164("tel:+44-20-7031-3000;x=1") == "+442070313000"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("王 芳", "王芳"),
        ("王芳（女儿）", "王芳"),
        ("王芳(vip)2", "王芳"),
        ("Anna Li", "annali"),
        ("阿依古丽·买买提", "阿依古丽买买提"),
        ("未知", None),
        ("测试1", None),
        ("（无）", None),
        ("", None),
    ],
)
def test_name_has_one_form_in_sql_and_python(text: str, name: str | None):
    assert name_norm(text) == name
    assert _sql(name_norm_sql("x"), text) == name


@pytest.mark.parametrize(
    ("value_type", "value", "masked"),
    [
        ("phone", "+8613812345678", "+86138****5678"),
        ("phone", "+6512345678", "****78"),
        ("phone", "13812340001/13912340002", "****02"),
        ("unionid", "oABCDEF123456", "****56"),
        ("unionid", "abc", "****"),
        ("binding", "patient:saas:P1", "patient:saas:P1"),
    ],
)
def test_masks_hide_the_middle_of_personal_values_only(value_type: str, value: str, masked: str):
    assert _sql(masked_sql(f"'{value_type}'", "x"), value) == masked


def test_dbt_macro_carries_the_same_sql():
    macros = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MACROS.glob("phone*.sql")))

    environment = Environment(autoescape=False)  # noqa: S701 — SQL, not HTML
    rendered = environment.from_string(macros + "{{ phone_e164('phone') }}").render()

    assert rendered.split() == phone_e164_sql("phone").split()
