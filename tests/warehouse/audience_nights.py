"""The end of a night on the shared marts, again and again: take audiences over, calculate, publish, serve.

What comes before does not depend on audiences, so it is done once for all.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import select

from api.storage.audience_snapshot import read_versions
from api.storage.audiences import Calculation, Committed, StoredVersion, current_versions
from api.storage.calculation import calculate, commit, read_inputs
from api.storage.database import Database
from api.storage.tables.audiences import audience
from pipelines import steps
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences
from pipelines.warehouse.built import Built, Stage, write_built
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from pipelines.warehouse.overrides import take_overrides
from pipelines.warehouse.publish import Publication
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.engine_layout import read_layout
from segment_engine.runtime.memberships import read_members
from segment_engine.runtime.published import open_current
from segment_engine.runtime.version import end_of, open_audiences
from tests.conftest import END_ON, MORNING

Rows = list[tuple[Any, ...]]
ZONE_NAME = "Asia/Shanghai"
# So long before it calculates, a night reads the rules.
READ_BEFORE = timedelta(minutes=30)
# What the filters of these tests ask, and what is asked whatever they say.
KEPT = (
    "marts.dim_customer", "marts.one_id_alias", "marts.fct_visit", "engine.customer", "engine.visit", "engine.layout",
    "engine.value", "engine.day_digest",
)  # fmt: skip


def make_small_night(night: PipelineSettings, root: Path) -> None:
    """The shared night with few of its tables, so that a test can copy it, and publish it, in no time."""
    small = PipelineSettings(data_dir=root / "data")
    small.folders.build.mkdir(parents=True)
    shutil.copytree(night.folders.build / "dbt_target", small.folders.build / "dbt_target")
    with duckdb.connect(str(small.folders.marts)) as con:
        con.execute(f"attach '{night.folders.marts}' as whole (read_only)")
        con.execute("create schema analyst")
        for name in KEPT:
            con.execute(f"create schema if not exists {name.split('.')[0]}")
            con.execute(f"create table {name} as from whole.{name}")
    with connect_warehouse(small) as con:
        ensure_ingest_schema(con, small.folders, [])
        take_overrides(con, [])
    first = Nights(small, None)
    first.night()


def versions_told(versions: list[StoredVersion]) -> set[tuple[Any, ...]]:
    return {(one.audience_id, one.number, one.file) for one in versions}


@dataclass
class Nights:
    """A data directory of one's own with a store; each night is an hour after the one before."""

    settings: PipelineSettings
    store: Database | None
    now: datetime = field(default=MORNING.moment)

    def take(self) -> str:
        """What ingest does of it; the fingerprint of the night."""
        with connect_warehouse(self.settings) as con:
            take_audiences(con, self.settings, END_ON, now=self.now - READ_BEFORE)
        return steps.input_fingerprint(self.settings, END_ON)

    def calculate(self) -> Mapping[str, Any]:
        self.now += timedelta(hours=1)
        write_built(self.settings.folders, Built(END_ON, self.take(), Stage.ENGINE))
        return steps.calculate_audiences(self.settings, END_ON, now=self.now).facts

    def publish(self) -> tuple[Publication, Mapping[str, Any]]:
        publication, report = steps.publish(self.settings, END_ON, run_id=f"run-{self.now:%H%M}", now=self.now)
        return publication, report.facts

    def night(self) -> Mapping[str, Any]:
        return {**self.calculate(), **self.publish()[1]}

    def on_demand(self, *numbers: int, at: datetime | None = None) -> Committed:
        """What a worker of the API does, on the version that is served."""
        connection, pointer = open_current(self.settings.folders, timezone=ZONE_NAME)
        with connection, self.store.read() as reading:
            found = read_inputs(reading, numbers)
            catalog = PublishedCatalogs(self.settings.folders).of(pointer)
            opened = open_audiences(
                connection, catalog, zone=ZONE_NAME, published_on=pointer.as_of,
                as_of=end_of(pointer.as_of, self.settings.zone), layout=read_layout(connection, catalog),
            )  # fmt: skip
            moment = at or self.now + timedelta(minutes=1)
            made = calculate(found, opened, connection, self.settings.folders.audiences, now=moment)
        calculation = Calculation(pointer.version, pointer.as_of, moment, "manual", "actor-1")
        return self.store.write(lambda writing: commit(writing, made, calculation))

    def ask(self, query: str, **values: Any) -> Rows:
        """Of the version that is served."""
        connection, _ = open_current(self.settings.folders, timezone=ZONE_NAME)
        with connection:
            return connection.execute(query, values).fetchall()

    def keys(self, query: str, **values: Any) -> set[int]:
        return {key for (key,) in self.ask(query, **values)}

    def members(self, number: int) -> set[int]:
        """As analysts see them."""
        return self.keys("select customer_key from marts.audience_members where audience_id = $id", id=number)

    def pointed(self, number: int) -> set[int]:
        """As everybody else sees them: where the pointer leads."""
        file = self.served()[number].file
        return set(read_members(self.settings.folders.audiences, file, [number])[number].keys().tolist())

    def served(self) -> dict[int, StoredVersion]:
        with self.store.read() as connection:
            return current_versions(connection)

    def versions(self) -> list[StoredVersion]:
        with self.store.read() as connection:
            return read_versions(connection)

    def problems(self, number: int) -> list[str]:
        with self.store.read() as connection:
            found = connection.execute(select(audience.c.problems).where(audience.c.id == number)).scalar_one()
        return [problem["code"] for problem in found or []]

    def marts(self, statement: str, **values: Any) -> None:
        """Change the marts that the next night publishes, as the steps before would have done."""
        with duckdb.connect(str(self.settings.folders.marts)) as connection:
            connection.execute(statement, values)

    def merge(self, old: int, new: int) -> str:
        """Make one customer of two in the marts; the id that the old one had."""
        ((one_id,),) = self.ask("select one_id from marts.dim_customer where customer_key = $key", key=old)
        self.marts(
            "insert into marts.one_id_alias select $id, $old, one_id, customer_key from marts.dim_customer "
            "where customer_key = $new",
            id=one_id, old=old, new=new,
        )  # fmt: skip
        self.marts("delete from marts.dim_customer where customer_key = $old", old=old)
        return str(one_id)

    def wrongs(self) -> list[str]:
        """Whatever does not agree: pointers, files, counts, and the tables of the version that is served."""
        versions = self.versions()
        found = {
            "numbers have gaps": any(
                [one.number for one in versions if one.audience_id == number] != [*range(1, current.number + 1)]
                for number, current in self.served().items()
            ),
            "a count is not its list": any(
                current.member_count != len(self.pointed(number)) for number, current in self.served().items()
            ),
            "counts do not follow from each other": not all(
                after.member_count == before.member_count + after.entered_count - after.left_count
                for before, after in pairwise(versions)
                if before.audience_id == after.audience_id
            ),
            "moments go back": not all(
                before.computed_at <= after.computed_at
                for before, after in pairwise(versions)
                if before.audience_id == after.audience_id
            ),
            "members are told in two ways": any(self.members(one) != self.pointed(one) for one in self._listed()),
            "versions are told in two ways": not self._told_versions() <= versions_told(versions),
            "changes are not told": any(
                one.entered_count or one.left_count
                for one in versions
                if (one.audience_id, one.number, one.file) not in self._told_versions()
            ),
            "changes do not lead to members": any(self._folded(one) != self.members(one) for one in self._listed()),
            "intervals do not lead to members": any(self._open(one) != self.members(one) for one in self._listed()),
            "somebody left before he came": self.ask("from marts.audience_membership where left_at < entered_at") != [],
        }  # fmt: skip
        return [wrong for wrong, is_so in found.items() if is_so]

    def _told_versions(self) -> set[tuple[Any, ...]]:
        """Without those that changed nothing: no version is published for their sake."""
        return set(self.ask("select audience_id, version, file from marts.audience_version"))

    def _listed(self) -> list[int]:
        query = "select distinct audience_id from marts.audience_members join marts.audience using (audience_id)"
        return [one for (one,) in self.ask(f"{query} where is_smart")]

    def _folded(self, number: int) -> set[int]:
        query = """
            select customer_key from marts.smart_audience_change where audience_id = $id
            group by customer_key having arg_max(has_entered, version)
        """
        return self.keys(query, id=number)

    def _open(self, number: int) -> set[int]:
        query = "select customer_key from marts.audience_membership where audience_id = $id and left_at is null"
        return self.keys(query, id=number)
