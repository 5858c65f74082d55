"""Whatever the order in which batches arrive, the tables, the ledger and the quarantine are the same."""

import hashlib
import itertools
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest.contracts import load_contracts
from pipelines.ingest.manifest import Window
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import ensure_ingest_schema
from pipelines.warehouse.landing import discover
from pipelines.warehouse.load import ingest_batch
from pipelines.warehouse.segments import compact
from tests.ingest.factory import DAY, EVENTS, PHONES, SameProcessParser, csv_text, event, jsonl_text, land, phone


class RememberingParser(SameProcessParser):
    """Parses a file once for all orders; what it wrote then is copied."""

    def parse(self, request):
        content = hashlib.sha256(request.file.read_bytes()).hexdigest()
        key = content, request.batch_id, request.window, request.contract, request.numbered
        if key not in self.known:
            reply = super().parse(request)
            files = [file.read_bytes() if file.exists() else b"" for file in (request.staged, request.rejects)]
            self.known[key] = reply, files
        reply, files = self.known[key]
        for file, content in zip((request.staged, request.rejects), files, strict=True):
            file.write_bytes(content)
        return reply

    known: ClassVar[dict[Any, Any]] = {}


PARSER = RememberingParser()
phones = st.builds(
    lambda key, number, hour, relation: (
        phone(key, number, updated_at=f"2026-11-20 0{hour}:00:00") | {"relation": relation}
    ),
    key=st.sampled_from(["K1", "K2", "K3"]),
    number=st.sampled_from(["1", "2", ""]),
    hour=st.integers(1, 3),
    relation=st.sampled_from(["本人", "本人", "邻居"]),
)
events = st.builds(event, st.sampled_from(["E1", "E2", "E3"]), object_name=st.sampled_from(["甲", "乙"]))
# From how many rows on a batch is a segment: all of them, some, none.
segment_rows = st.sampled_from([1, 2, 3, 100])
windows = st.integers(21, 22).map(lambda day: Window(DAY, DAY.replace(day=day)))


def contents(data: PipelineSettings, order) -> tuple:
    """Everything that ingest leaves behind after the batches in this order, and the first of them once more."""
    table = order[0].source, order[0].table
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'Asia/Shanghai'")
        ensure_ingest_schema(con, data.folders, [load_contracts()[table]])
        for batch in (*order, order[0]):
            ingest_batch(con, data, batch, parser=PARSER)
        before = con.execute(f"from raw.{table[0]}__{table[1]} order by all").fetchall()
        compact(con, data.folders, load_contracts()[table])
        assert con.execute(f"from raw.{table[0]}__{table[1]} order by all").fetchall() == before
        tables = [
            con.execute(f"from {name} order by all").fetchall()
            for name in (f"raw.{table[0]}__{table[1]}", "ingest.batch", "ingest.rejection")
        ]
        entries = con.execute(
            "select batch_id, loaded_rows - superseded_rows from ingest.batch order by all"
        ).fetchall()
        alive = con.execute(
            f"select batch_id, count(_batch_id) from ingest.batch left join raw.{table[0]}__{table[1]}"
            " on _batch_id = batch_id group by batch_id order by all"
        ).fetchall()
    assert entries == alive, "every loaded row is either there or superseded"
    files = sorted(data.folders.quarantine.rglob("*.csv"))
    return tables, [(file.name, file.read_bytes()) for file in files]


def check_all_orders(table, form, batches, segment_rows):
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", segment_rows)
        data = PipelineSettings(data_dir=Path(folder) / "0", threads=1)
        for number, (rows, window) in enumerate(batches):
            text = csv_text(rows) if form == "csv" else jsonl_text(rows)
            land(data, table, text, batch_id=f"b{number}", rows=len(rows), form=form, window=window)
        landed = discover(data.folders)
        orders = [landed, *list(itertools.permutations(landed))[-2:]]

        outcomes = [
            contents(PipelineSettings(data_dir=Path(folder) / str(number), threads=1), order)
            for number, order in enumerate(orders)
        ]

        assert all(outcome == outcomes[0] for outcome in outcomes)


@settings(max_examples=16, deadline=None)
@given(st.lists(st.tuples(st.lists(phones, min_size=1, max_size=5), windows), min_size=2, max_size=3), segment_rows)
def test_versioned_batches_in_any_order_and_however_kept_give_the_same_tables(batches, rows):
    check_all_orders(PHONES, "csv", batches, rows)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.lists(events, min_size=1, max_size=5), windows), min_size=2, max_size=3), segment_rows)
def test_append_only_batches_in_any_order_and_however_kept_give_the_same_tables(batches, rows):
    check_all_orders(EVENTS, "jsonl", batches, rows)
