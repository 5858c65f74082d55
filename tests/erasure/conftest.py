"""The first night of the chain, run once for every life that begins with it."""

from pathlib import Path

import pytest

from tests.conftest import MadeOnce
from tests.erasure.first_night import make_first_night


@pytest.fixture(scope="session")
def first_night(made_once: MadeOnce) -> Path:
    """A data directory after its first night; copy it before doing anything in it."""
    return made_once("chain", make_first_night)
