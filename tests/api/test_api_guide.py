"""docs/api.md names operations, and each of them exists."""

import re
from pathlib import Path

from api.main import create_app
from api.settings import ApiSettings

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"


def test_every_operation_that_the_guide_names_exists(tmp_path: Path) -> None:
    paths = create_app(ApiSettings(data_dir=tmp_path)).openapi()["paths"]
    named = set(re.findall(r"`(GET|POST|PUT|DELETE) (/v1/[^`?]+)`", GUIDE.read_text(encoding="utf-8")))

    assert len(named) > 10
    generic = {(method, path.replace("{id}", "{job_id}")) for method, path in named}
    assert {(method, path) for method, path in generic if method.lower() not in paths.get(path, {})} == set()
