"""The API on both operational stores, and callers with keys."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from api.access.actors import EVERY_CLINIC, Level, ScopeChannel
from api.access.keys import make_key
from api.access.permissions import ALL
from api.clock import now
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.tables.access import actor, actor_role, role
from pipelines.settings import PipelineSettings
from tests.postgres import MISSING, find_binaries, memory, running_server
from tests.stores import PostgresStores, SqliteStores, StoreSettings

ENGINES = ("sqlite", "postgresql")
Stores = SqliteStores | PostgresStores


@pytest.fixture(scope="session")
def sqlite_stores(tmp_path_factory: pytest.TempPathFactory) -> SqliteStores:
    return SqliteStores(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def postgres_stores() -> Iterator[PostgresStores]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(MISSING)
    # Each test has a database of its own: some 300 files, which a disk takes ten times as long to make and to drop.
    with running_server(binaries, below=memory()) as socket:
        yield PostgresStores(socket)


@pytest.fixture(params=ENGINES)
def stores(request: pytest.FixtureRequest) -> Stores:
    """Both engines, one after the other."""
    found: Stores = request.getfixturevalue("sqlite_stores" if request.param == "sqlite" else "postgres_stores")
    return found


@pytest.fixture
def store(stores: Stores, tmp_path: Path) -> Iterator[StoreSettings]:
    """What ApiSettings takes to use a new store below `tmp_path / "data"`."""
    with stores.new(tmp_path / "data") as settings:
        yield settings


@pytest.fixture
def database(store: StoreSettings, tmp_path: Path) -> Iterator[Database]:
    """A new store on each engine."""
    database = Database(ApiSettings(data_dir=tmp_path / "data", **store))
    yield database
    database.close()


def make_actor(
    database: Database,
    *,
    kind: str = "staff",
    staff_id: str | None = None,
    permissions: tuple[str, ...] = (ALL,),
    clinic_id: str = EVERY_CLINIC,
    data_scope: dict[ScopeChannel, Level] | None = None,
    scopes: frozenset[str] | None = None,
    lifetime: timedelta | None = None,
) -> str:
    """Somebody with one role of their own; returns the text of their API key."""
    made = now()
    data_scope = dict.fromkeys(ScopeChannel, Level.ALL) if data_scope is None else data_scope

    def work(connection: Any) -> str:
        name = f"t{made.timestamp():.6f}-{id(work)}"
        stamps = {"version": 1, "created_at": made, "updated_at": made}
        person = {"id": f"actor-{name}", "kind": kind, "name": name, "staff_id": staff_id, "is_active": True, **stamps}
        connection.execute(insert(actor).values(person))
        connection.execute(
            insert(role).values(
                id=f"role-{name}", name_zh=name, name_en=name, is_builtin=False, permissions=list(permissions),
                data_scope=dict(data_scope), **stamps,
            )
        )  # fmt: skip
        given = {"actor_id": f"actor-{name}", "role_id": f"role-{name}", "clinic_id": clinic_id}
        connection.execute(insert(actor_role).values(given))
        expires_at = None if lifetime is None else made + lifetime
        key = make_key(
            connection, actor_id=f"actor-{name}", name="test", scopes=scopes, expires_at=expires_at, created_by="test",
            now=made,
        )  # fmt: skip
        return key.text

    return database.write(work)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(store: StoreSettings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """`make_client(published=False, **actor)`: the API on a new store, as an actor who may do everything by default.

    With `published`, it serves the night that all tests share. No rate limit unless asked for.
    """
    with ExitStack() as stack:

        def make(*, published: bool = False, settings: dict[str, Any] | None = None, **who: Any) -> TestClient:
            data_dir = tmp_path / "data"
            if published and not (data_dir / "published").exists():
                data_dir.mkdir(exist_ok=True)
                night: PipelineSettings = request.getfixturevalue("night")
                data_dir.mkdir(exist_ok=True)
                (data_dir / "published").symlink_to(night.folders.published)
            told = {"rate_limit_per_address": 0, **store, **(settings or {})}
            app = create_app(ApiSettings(data_dir=data_dir, **told))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            client.headers.update(bearer(make_actor(app.state.database, **who)))
            return client

        yield make
