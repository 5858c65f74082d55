"""Hostile requests made from the API's own contract, against every operation, on both stores.

No 5xx, no answer that the contract does not document, no route that forgets to ask who is there.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS

from tests.api.conftest import MakeClient

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


@pytest.fixture
def contract(make_client: MakeClient) -> Iterator[Any]:
    """The contract of an application on a new store, with the night that all tests share."""
    client = make_client(published=True)
    found = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    found.config.generation.update(modes=list(schemathesis.GenerationMode))
    yield found


schema = schemathesis.pytest.from_fixture("contract")


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented_and_none_is_an_error_of_ours(case: Any, make_client: MakeClient) -> None:
    case.call_and_validate(checks=[CHECKS.get_one(name) for name in CHECKED])
