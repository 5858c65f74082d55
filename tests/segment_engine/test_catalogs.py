"""The published catalogue as a process keeps it: read once per version, and told apart from one that is damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.settings import PipelineSettings
from segment_engine.runtime.catalogs import DamagedCatalogError, PublishedCatalogs
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import Pointer, read_pointer


@pytest.fixture
def pointer(night: PipelineSettings) -> Pointer:
    return read_pointer(night.folders)


@pytest.fixture
def folders(night: PipelineSettings, pointer: Pointer, tmp_path: Path) -> DataFolders:
    """A folder that holds the shared night's catalogue alone."""
    folders = DataFolders(tmp_path)
    folders.published.mkdir()
    text = (night.folders.published / pointer.catalog_file).read_text(encoding="utf-8")
    (folders.published / pointer.catalog_file).write_text(text, encoding="utf-8")
    return folders


def test_one_version_is_read_once(folders: DataFolders, pointer: Pointer) -> None:
    catalogs = PublishedCatalogs(folders)
    first = catalogs.of(pointer)
    (folders.published / pointer.catalog_file).unlink()

    assert catalogs.of(pointer) is first
    assert "gender" in first.attributes


def test_another_version_of_the_same_name_is_read_anew(folders: DataFolders, pointer: Pointer) -> None:
    catalogs = PublishedCatalogs(folders)
    first = catalogs.of(pointer)
    file = folders.published / pointer.catalog_file
    document = json.loads(file.read_text(encoding="utf-8"))
    document["tables"] = [table for table in document["tables"] if table["name"] != "fct_review"]
    file.write_text(json.dumps(document), encoding="utf-8")

    second = catalogs.of(replace(pointer, sha256="0" * 64))

    assert first.sources.keys() - second.sources.keys() == {"review"}


def test_a_damaged_catalogue_is_read_again_once_it_is_mended(folders: DataFolders, pointer: Pointer) -> None:
    catalogs = PublishedCatalogs(folders)
    file = folders.published / pointer.catalog_file
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[:1000], encoding="utf-8")

    with pytest.raises(DamagedCatalogError, match=f"{file.name}.*cdp nightly --force"):
        catalogs.of(pointer)
    file.write_text(whole, encoding="utf-8")

    assert catalogs.of(pointer).sources


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "tables": [1]}', b"\xff"],
    ids=["missing", "empty", "torn", "list", "null", "format", "no tables", "no table", "no text"],
)
def test_what_is_no_catalogue_is_one_error(folders: DataFolders, pointer: Pointer, content: bytes | None) -> None:
    file = folders.published / pointer.catalog_file
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(DamagedCatalogError):
        PublishedCatalogs(folders).of(pointer)
