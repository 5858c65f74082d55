"""Identity and dbt mean the same by a phone, a name and a mask: one text, kept in two places."""

import jinja2
import pytest

from pipelines.identity.keys import masked_value_sql, name_norm_sql, phone_e164_sql
from tests.dbt.runner import PROJECT


@pytest.mark.parametrize(
    ("file", "macro", "original"),
    [
        ("phones.sql", "phone_e164", phone_e164_sql),
        ("person_names.sql", "name_norm", name_norm_sql),
        ("masks.sql", "mask_phone", masked_value_sql),
    ],
)
def test_macro_is_the_text_of_the_identity_module(file, macro, original):
    module = jinja2.Environment(autoescape=False).from_string((PROJECT / "macros" / file).read_text("utf-8")).module  # noqa: S701

    text = getattr(module, macro)("some_column")

    assert text.split() == original("some_column").split()
