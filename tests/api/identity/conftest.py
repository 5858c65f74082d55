"""Who is there to decide about: identities of the shared night."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest


@dataclass(frozen=True)
class People:
    """Keys of patient files of different customers, and of a fan."""

    patients: list[str]
    fan: str


@pytest.fixture(scope="session")
def people(published_version: Path, tmp_path_factory: pytest.TempPathFactory) -> People:
    copy = shutil.copy(published_version, tmp_path_factory.mktemp("copy"))
    with duckdb.connect(str(copy), read_only=True) as con:

        def first(kind: str) -> list[str]:
            query = "select min(identity_key) from marts.dim_identity where kind = ? group by one_id order by 1 limit 6"
            return [key for (key,) in con.execute(query, [kind]).fetchall()]

        return People(first("patient"), first("official_account_fan")[0])
