"""The small tools: dice, phones, money, workbooks, batches."""

import io
from decimal import Decimal

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from pipelines.sample.batches import Rows, by_batch
from pipelines.sample.draw import Dice, repeat_each, stream
from pipelines.sample.formats import workbook, yuan
from pipelines.sample.phones import phone_numbers
from pipelines.sample.shard import shards_of
from pipelines.sample.world import CHUNK

CUTOFFS = np.array([100, 200, 300], dtype=np.int64)
MOMENTS = st.integers(0, 399)
TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1)


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_yuan_is_exactly_a_hundredth_of_fen(fen: list[int]):
    spelt = yuan(pl.Series(fen, dtype=pl.Int64)).to_list()

    assert [Decimal(text) * 100 for text in spelt] == fen
    assert all(text.split(".")[1].__len__() == 2 for text in spelt)


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1))
def test_a_workbook_gives_its_cells_back(rows: list[tuple[str, str | None]]):
    data = workbook([("a", "b"), *rows])

    read = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()

    assert [[cell or None for cell in row] + [None] * (2 - len(row)) for row in read[1:]] == [list(row) for row in rows]


@given(st.lists(st.tuples(MOMENTS, MOMENTS).map(sorted), min_size=1))
def test_reading_all_batches_in_order_ends_with_the_final_rows(moments: list[list[int]]):
    born, changed = (np.array([m[i] for m in moments], dtype=np.int64) for i in (0, 1))
    frame = pl.DataFrame({"id": range(len(moments)), "state": ["final"] * len(moments)})
    rows = Rows(frame=frame, born=born, changed=changed, before={"state": pl.lit("first")})

    batches = by_batch(rows, CUTOFFS)

    held: dict[int, str] = {}
    for number, batch in enumerate(batches):
        for key, state in batch.rows():
            assert state == ("first" if changed[key] // 100 > number else "final")
            held[key] = state
    assert held == dict.fromkeys(range(len(moments)), "final")
    assert sum(map(len, batches)) == sum(1 + int(b // 100 < c // 100) for b, c in moments)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=20))
def test_dice_show_every_face_in_its_share(weights: list[float]):
    faces = Dice(weights).throw(stream(1), 40_000)

    shares = np.bincount(faces, minlength=len(weights)) / len(faces)

    assert len(shares) == len(weights)
    assert np.abs(shares - np.array(weights) / sum(weights)).max() < 0.02


def test_phone_numbers_are_valid_and_distinct():
    phones = phone_numbers(0, np.arange(200_000, dtype=np.int64))

    assert phones.is_unique().all()
    assert phones.str.contains(r"^1[3-9]\d{9}$").all()


@given(st.lists(st.integers(0, 5)))
def test_children_know_their_parent_and_their_place(counts: list[int]):
    parents, places = repeat_each(np.array(counts, dtype=np.int64))

    assert list(zip(parents, places, strict=True)) == [(p, i) for p, n in enumerate(counts) for i in range(n)]


@given(st.integers(1, 3_000_000))
def test_shards_cover_every_chunk_once(customers: int):
    chunks = [chunk for shard in shards_of(customers) for chunk in shard]

    assert chunks == list(range(-(-customers // CHUNK)))
    assert all(len(shard) > 0 for shard in shards_of(customers))
