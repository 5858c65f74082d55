"""`cdp identity resolve` as an operator uses it: files written, the command run in this process, its answers read."""

import json
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from tests.identity.factory import FIRST_NIGHT, World

IDENTITIES = [
    pa.field("key", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("first_seen_at", pa.timestamp("us", "Asia/Shanghai")),
    pa.field("name", pa.string()),
    pa.field("birth_date", pa.date32()),
    pa.field("id_number", pa.string()),
    pa.field("is_minor", pa.bool_()),
]
EVIDENCE = [
    pa.field("key", pa.string()),
    pa.field("value_type", pa.string()),
    pa.field("value", pa.string()),
    pa.field("tier", pa.int32()),
    pa.field("position", pa.int32()),
]


class Desk:
    """A folder with input files, one state, one folder of answers."""

    def __init__(self, folder: Path, suffix: str = "parquet") -> None:
        self.folder, self.suffix = folder, suffix
        self.night = FIRST_NIGHT - timedelta(days=1)
        self.state, self.out = folder / "state", folder / "out"

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.{self.suffix}"

    def write(self, world: World) -> None:
        for name, columns, rows in (("identities", IDENTITIES, world.records), ("evidence", EVIDENCE, world.facts)):
            table = pa.table(
                {
                    column.name: [getattr(row, "name_norm" if column.name == "name" else column.name) for row in rows]
                    for column in columns
                },
                pa.schema(columns),
            )
            if self.suffix == "csv":
                pa_csv.write_csv(table, self.file(name))
            else:
                pq.write_table(table, self.file(name))

    def run(self, *options: str, night: date | None = None, **paths: Path | None) -> Result:
        """Run the command over the files as they are; `paths` replace what it is given, None leaves one out."""
        given = {
            "identities": self.file("identities"),
            "evidence": self.file("evidence"),
            "state": self.state,
            "out": self.out,
            **paths,
        }
        named = [part for name, path in given.items() if path is not None for part in (f"--{name}", str(path))]
        arguments = ["identity", "resolve", *named, "--night", str(night or self.night), *options]
        return CliRunner(env={"TERM": "dumb"}).invoke(app, arguments)

    def next(self, world: World, *options: str, **paths: Path) -> dict:
        """Run one more night over a world."""
        self.night += timedelta(days=1)
        return self.again(world, *options, **paths)

    def again(self, world: World, *options: str, **paths: Path) -> dict:
        """Run the last night (again) over a world; its summary."""
        self.write(world)
        answer = self.run(*options, **paths)
        assert answer.exit_code == 0, answer.output
        return json.loads((self.out / "summary.json").read_text(encoding="utf-8"))

    def text(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def rows(self, name: str, columns: str = "*") -> list[tuple]:
        return duckdb.sql(f"select {columns} from '{self.out}/{name}.parquet'").fetchall()

    def ids(self) -> dict[str, str]:
        """The id of every record that is present, by the last part of its key."""
        return {key.split(":")[-1]: one_id for key, one_id, _, present in self.rows("assignment") if present}

    def together(self) -> set[frozenset[str]]:
        """Customers as sets of the last part of their keys."""
        groups: dict[str, set[str]] = {}
        for key, one_id in self.ids().items():
            groups.setdefault(one_id, set()).add(key)
        return {frozenset(group) for group in groups.values()}

    def events(self) -> list[str]:
        return [event for (event,) in self.rows("events", "event")]
