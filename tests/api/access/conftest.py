"""Who asks in tests of access."""

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import MakeClient


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, on a new store."""
    return make_client()
