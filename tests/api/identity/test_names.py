"""Identity keys as a caller may read them."""

import pytest

from api.identity.names import shown_key


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        ("lead:leads:13812345678", "lead:leads:138****5678"),
        ("lead:leads:+8613812345678", "lead:leads:+86138****5678"),
        ("lead:leads:008613812345678", "lead:leads:0086138****5678"),
        ("patient:saas:P000123", "patient:saas:P000123"),
        ("patient:saas:10000000001", "patient:saas:10000000001"),
        ("official_account_fan:wx:o13812345678", "official_account_fan:wx:o13812345678"),
        ("wecom_contact:corp:a:13812345678", "wecom_contact:corp:a:13812345678"),
    ],
)
def test_an_id_that_is_a_phone_is_masked_and_any_other_stays(key: str, masked: str) -> None:
    assert shown_key(key, sees_phones=False) == masked
    assert shown_key(key, sees_phones=True) == key
