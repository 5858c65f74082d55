"""Hostile requests made from the API's own contract, against a real server on both stores.

No 5xx, no answer that the contract does not document, no route that forgets to ask who is there.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.settings import ApiSettings
from api.storage.database import Database
from pipelines.settings import PipelineSettings
from tests.api.conftest import Stores, make_actor
from tests.api.race.conftest import api_process
from tests.http_server import Answer, http_server

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,ignored_auth"
)


# Nearly all that the phase "coverage" asks is refused before it meets a store: once, on the engine that takes less.
@pytest.mark.parametrize(
    ("engine", "phases"), [("sqlite", "examples,fuzzing"), ("postgresql", "examples,coverage,fuzzing")]
)
def test_every_answer_is_documented_and_none_is_an_error_of_ours(
    engine: str, phases: str, request: pytest.FixtureRequest, night: PipelineSettings, tmp_path: Path
) -> None:
    stores: Stores = request.getfixturevalue(f"{'sqlite' if engine == 'sqlite' else 'postgres'}_stores")
    with stores.new(tmp_path) as address:
        (tmp_path / "published").symlink_to(night.folders.published)
        database = Database(ApiSettings(data_dir=tmp_path, **address))
        key = make_actor(database)
        database.close()
        with wechat() as login, api_process(tmp_path, address, **login) as server:
            run = schemathesis(server, key, phases)

    assert run.returncode == 0, run.stdout
    selected, tested = (re.search(rf"{word}: +(\d+)", run.stdout) for word in ("Selected", "Tested"))
    assert selected, run.stdout
    assert tested, run.stdout
    assert selected[1] == tested[1]


# WeChat's answer to a login code that it never gave out.
UNKNOWN_CODE = Answer(b'{"errcode": 40029, "errmsg": "invalid code"}', "text/plain")


@contextmanager
def wechat() -> Iterator[dict[str, str]]:
    """What tells an API process to ask a server of ours who logged in."""
    with http_server(lambda _path: UNKNOWN_CODE) as address:
        yield {
            "CDP_WECHAT_API_URL": address,
            "CDP_WECHAT_APP_ID": "wx-test",
            "CDP_WECHAT_APP_SECRET": "secret",
        }


def schemathesis(server: str, key: str, phases: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{server}/openapi.json",
            "--header", f"Authorization: Bearer {key}",
            "--checks", CHECKS,
            "--phases", phases,
            "--max-examples", "4",
            "--seed", "20261122",
            "--workers", "1",
            "--exclude-path-regex", "^/race|/events$",
            "--exclude-method", "HEAD",
            "--no-color", "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
