"""Memberships are sets in files: what is written is read, what is damaged is told, and merges move nobody."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.memberships import (
    DamagedMembershipsError,
    Difference,
    Membership,
    Merges,
    carried,
    difference,
    keys_now,
    read_members,
    read_memberships,
    sweep_memberships,
    write_memberships,
)

NOW = datetime(2026, 11, 21, 0, 40, tzinfo=UTC)
KEYS = 1_000
NO_MERGES = Merges(np.zeros(0, np.int64), np.zeros(0, np.int64))


def keys_of(found: set[int]) -> np.ndarray:
    return np.array(sorted(found), np.int64)


def bitmap(found: set[int], keys: int = KEYS) -> Bitmap:
    return of_keys(keys_of(found), keys)


def merges_of(gone: Mapping[int, int]) -> Merges:
    return Merges(np.array(list(gone), np.int64), np.array(list(gone.values()), np.int64))


def sets_of(found: Difference) -> tuple[set[int], set[int], set[int]]:
    entered, left, merged = (set(keys.tolist()) for keys in (found.entered, found.left, found.merged))
    return entered, left, merged


def membership(audience_id: int, members: set[int], *, left: set[int] | None = None) -> Membership:
    return Membership(
        audience_id,
        bitmap(members),
        Difference(keys_of(members), keys_of(left or set()), keys_of(left or set())),
    )


def write(folder: Path, *memberships: Membership, now: datetime = NOW) -> str:
    return write_memberships(folder, memberships, now=now)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    some, nobody, everybody = (
        membership(7, {1, 63, 64, 999}, left={5}),
        membership(8, set()),
        membership(9, {*range(KEYS)}),
    )

    file = write(tmp_path, everybody, some, nobody)

    found = read_memberships(tmp_path, file, [7, 8, 9])
    assert {one: found[one].members for one in found} == {7: some.members, 8: nobody.members, 9: everybody.members}
    assert sets_of(found[7].difference) == ({1, 63, 64, 999}, {5}, {5})
    assert read_members(tmp_path, file, [7]) == {7: some.members}


def test_a_file_of_no_audience_can_be_read_for_none(tmp_path: Path) -> None:
    assert read_members(tmp_path, write(tmp_path), []) == {}


def test_files_lie_in_the_month_they_were_written_and_no_two_have_one_name(tmp_path: Path) -> None:
    files = {write(tmp_path, membership(7, {1})) for _ in range(20)}

    assert len(files) == 20
    assert all(file.startswith("2026-11/20261121T004000-") for file in files)
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")} == files


def test_whoever_reads_one_audience_reads_nothing_of_the_others(tmp_path: Path) -> None:
    file = write(tmp_path, *(membership(one, {one}) for one in (3, 1, 2)))
    with pq.ParquetFile(tmp_path / file) as opened:
        groups = [opened.metadata.row_group(number) for number in range(opened.num_row_groups)]
        others = [group.column(1) for group in groups if group.column(0).statistics.min != 2]
    damaged = bytearray((tmp_path / file).read_bytes())
    for column in others:
        start = column.data_page_offset
        damaged[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    (tmp_path / file).write_bytes(damaged)

    assert read_members(tmp_path, file, [2]) == {2: bitmap({2})}
    with pytest.raises(DamagedMembershipsError):
        read_members(tmp_path, file, [1])


def test_a_missing_file_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DamagedMembershipsError, match=r"2026-11/gone\.parquet.*recalculate.*请重新计算"):
        read_members(tmp_path, "2026-11/gone.parquet", [1])


def test_an_audience_that_is_not_in_the_file_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, membership(7, {1}))

    with pytest.raises(DamagedMembershipsError, match=r"no row of \[8\]"):
        read_members(tmp_path, file, [7, 8])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 100], ids=["empty", "magic", "text"])
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2026-11").mkdir()
    (tmp_path / "2026-11" / "x.parquet").write_bytes(content)

    with pytest.raises(DamagedMembershipsError):
        read_members(tmp_path, "2026-11/x.parquet", [1])


def test_a_damaged_file_is_told_or_says_what_was_written(tmp_path: Path) -> None:
    """No flipped bit and no cut ever shows other members."""
    dice = random.Random(5)
    written = {one: {key for key in range(KEYS) if dice.random() < 0.3} for one in (1, 2)}
    file = tmp_path / write(tmp_path, *(membership(one, members) for one, members in written.items()))
    whole, told = file.read_bytes(), 0

    for attempt in range(400):
        damaged = bytearray(whole)
        if attempt % 4:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        else:
            del damaged[dice.randrange(len(damaged)) :]
        file.write_bytes(damaged)
        try:
            found = read_members(tmp_path, file.relative_to(tmp_path).as_posix(), [1, 2])
        except DamagedMembershipsError:
            told += 1
        else:
            assert {one: set(found[one].keys().tolist()) for one in found} == written

    assert told > 100


def test_a_crash_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segment_engine.runtime.memberships.sync", fail)
    (tmp_path / "2026-11").mkdir()

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, membership(7, {1}))

    assert list(tmp_path.glob("*/*")) == []


def test_sweeping_keeps_what_pointers_name_and_what_is_young(tmp_path: Path) -> None:
    named, orphan, young = (write(tmp_path, membership(7, {1})) for _ in range(3))
    leftover = tmp_path / "2026-11" / ".killed.parquet.tmp"
    leftover.write_bytes(b"half")
    stranger = tmp_path / "2026-11" / "notes.txt"
    stranger.write_bytes(b"kept")
    written_at = datetime.fromtimestamp((tmp_path / young).stat().st_mtime, UTC)
    old = (written_at - timedelta(days=2)).timestamp()
    for file in (tmp_path / named, tmp_path / orphan, leftover):
        os.utime(file, (old, old))

    swept = sweep_memberships(tmp_path, [named], before=written_at - timedelta(days=1))

    assert sorted(swept) == sorted([orphan, "2026-11/.killed.parquet.tmp"])
    assert {file.name for file in tmp_path.glob("*/*")} == {Path(named).name, Path(young).name, "notes.txt"}


def test_sweeping_where_nothing_was_ever_written_does_nothing(tmp_path: Path) -> None:
    assert sweep_memberships(tmp_path / "audiences", [], before=NOW) == []


def test_the_first_time_everybody_enters() -> None:
    assert sets_of(difference(None, bitmap({1, 2}), merges_of({1: 2}))) == ({1, 2}, set(), set())


@dataclass(frozen=True)
class Merged:
    """Who was in, who is in, who was merged into whom; then who entered, left, and which of them only by the merge."""

    before: set[int]
    after: set[int]
    gone: dict[int, int]
    entered: set[int]
    left: set[int]
    merged: set[int]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Merged({1}, {2}, {1: 2}, {2}, {1}, {1, 2}), id="into-somebody-outside"),
        pytest.param(Merged({1, 2}, {2}, {1: 2}, set(), {1}, {1}), id="into-a-member"),
        pytest.param(Merged({2}, {2}, {1: 2}, set(), set(), set()), id="from-outside-into-a-member"),
        pytest.param(Merged({1}, set(), {1: 2}, set(), {1}, set()), id="and-out-by-the-rule"),
        pytest.param(Merged({1, 2}, set(), {1: 2}, set(), {1, 2}, {1}), id="both-were-in-and-are-out-by-the-rule"),
        pytest.param(Merged(set(), {2}, {1: 2}, {2}, set(), set()), id="both-outside-and-in-by-the-rule"),
        pytest.param(Merged({1, 3}, {5}, {1: 5, 3: 5}, {5}, {1, 3}, {1, 3, 5}), id="two-into-one"),
        pytest.param(Merged({1}, {5}, {1: 5, 4: 5}, {5}, {1}, {1, 5}), id="a-chain-told-by-its-end"),
        pytest.param(Merged({1, 9}, {2, 8}, {1: 2}, {2, 8}, {1, 9}, {1, 2}), id="beside-those-whom-the-rule-moved"),
    ],
)  # fmt: skip
def test_a_merge_is_told_from_the_rule(case: Merged) -> None:
    found = sets_of(difference(bitmap(case.before), bitmap(case.after), merges_of(case.gone)))

    assert found == (case.entered, case.left, case.merged)


def test_keys_of_then_are_told_as_whose_they_are_now() -> None:
    merges = Merges(np.array([3, 8]), np.array([1, 20]))

    told = keys_now(np.array([0, 3, 4, 8, 9]), merges)

    assert told.tolist() == [0, 1, 4, 20, 9]
    assert keys_now(np.array([0, 3]), NO_MERGES).tolist() == [0, 3]


def test_a_survivor_beyond_all_keys_is_nobody() -> None:
    merges = merges_of({1: 70_000})

    assert set(carried(bitmap({1, 2}), merges, KEYS).keys().tolist()) == {2}
    assert sets_of(difference(bitmap({1, 2}), bitmap({2}), merges)) == (set(), {1}, set())


@pytest.mark.parametrize("seed", range(60))
def test_differences_and_persons_are_those_of_plain_sets(seed: int) -> None:
    """Over key spaces that grow and shrink, with people merged in any number."""
    dice = random.Random(seed)
    then, now = dice.choice([1, 64, 65, 200, 300]), dice.choice([1, 63, 128, 200, 300])
    gone = {old: dice.randrange(now) for old in dice.sample(range(300), dice.choice([0, 1, 5, 40]))}
    gone = {old: new for old, new in gone.items() if new not in gone}
    before = {key for key in range(then) if dice.random() < 0.4}
    # Nobody who was merged away is a customer any more.
    after = {key for key in range(now) if dice.random() < 0.4} - gone.keys()

    found = difference(bitmap(before, then), bitmap(after, now), merges_of(gone))
    persons = carried(bitmap(before, then), merges_of(gone), now)

    entered, left, merged = sets_of(found)
    expected = {gone.get(key, key) for key in before}
    assert set(persons.keys().tolist()) == {key for key in expected if key < now}
    assert (entered, left) == (after - before, before - after)
    by_merge = {key for key in left if key in gone and gone[key] in before | after}
    assert merged == {key for key in entered if key in expected} | by_merge
    assert len(after) == len(before) + len(entered) - len(left)
    # Without what merges did, each person who is told to have moved has moved.
    assert entered - merged == after - expected
    assert {gone.get(key, key) for key in left - merged} == expected - after
