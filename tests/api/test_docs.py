"""The API's own documentation pages, read on a machine without internet."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_documentation_pages_load_nothing_from_the_internet(tmp_path: Path, page: str) -> None:
    client = TestClient(create_app(ApiSettings(data_dir=tmp_path)))

    html = client.get(page).text
    files = re.findall(r'(?:src|href)="([^"]+)"', html)

    assert files
    assert [file for file in files if not file.startswith("/")] == []
    assert [file for file in files if client.get(file).status_code != 200] == []
    assert re.search(r"https?://", re.sub(r"</?noscript>.*", "", html)) is None
