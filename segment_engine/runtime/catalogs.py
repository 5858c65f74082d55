"""The filter catalogue that is published beside a version: read once per version and kept.

What it says is read in `segment_engine.catalog`; which version is served is told by `published.py`.
"""

import json
import threading
from pathlib import Path

from segment_engine.catalog import Catalog, CatalogError, read_catalog
from segment_engine.runtime.folders import DataFolders
from segment_engine.runtime.published import Pointer

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, CatalogError)


class DamagedCatalogError(Exception):
    """The catalogue of a version is missing, is no catalogue, contradicts itself, or was written by another release."""

    def __init__(self, file: Path, reason: Exception) -> None:
        super().__init__(
            f"{file} cannot be read ({type(reason).__name__}: {reason}): run `cdp nightly --force` / "
            f"{file} 缺失、已损坏或由其他版本的程序写成:请运行 cdp nightly --force"
        )


class PublishedCatalogs:
    """The catalogue of the version that was asked for last. Thread-safe.

    Versions are told apart by file and checksum: numbers start again where a data directory was emptied.
    """

    def __init__(self, folders: DataFolders) -> None:
        self._folders = folders
        self._guard = threading.Lock()
        self._kept: tuple[tuple[str, str], Catalog] | None = None

    def of(self, pointer: Pointer) -> Catalog:
        """The catalogue of this version; raises DamagedCatalogError."""
        key = (pointer.catalog_file, pointer.sha256)
        with self._guard:
            if self._kept is None or self._kept[0] != key:
                self._kept = key, _read(self._folders.published / pointer.catalog_file)
            return self._kept[1]


def _read(file: Path) -> Catalog:
    try:
        return read_catalog(json.loads(file.read_text(encoding="utf-8")))
    except _UNREADABLE as error:
        raise DamagedCatalogError(file, error) from error
