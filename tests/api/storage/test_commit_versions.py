"""Calculations come to count one after the other: no gap, no half of one, nothing old over something new."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from api.storage.audience_snapshot import read_member_rows, read_snapshot, read_versions
from api.storage.audiences import (
    Calculation,
    Committed,
    NewVersion,
    commit_versions,
    current_versions,
    drop_versions,
    is_there,
    note_refused,
    stored_rules,
    usable_audiences,
)
from api.storage.calculation import read_inputs
from api.storage.database import Database
from api.storage.tables.audiences import audience, audience_reference
from segment_engine.problems import Problem
from segment_engine.runtime.settings import SharedSettings
from tests.at_once import at_once
from tests.audiences import EVERYONE, add_audience, all_of, change, define, in_segment, put_in, share, take_out
from tests.stores import StoreSettings

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = date(2026, 11, 20)
MANUAL = Calculation("20261120-01", DAY, NOON, "manual", "actor-1")
PROBLEM = Problem("unknown_field", "/rules/0/field", "没有这个字段", "no such field")


def new(number: int, base: int = 0, *, definition: int = 1, file: str = "2026-11/a.parquet") -> NewVersion:
    return NewVersion(number, base, definition, member_count=3, entered_count=2, left_count=1, file=file)


def commit(store: Database, *versions: NewVersion, calculation: Calculation = MANUAL) -> Committed:
    return store.write(lambda connection: commit_versions(connection, versions, calculation))


def served(store: Database, *, at: datetime | None = None) -> dict[int, tuple[int, str]]:
    with store.read() as connection:
        return {one: (version.number, version.file) for one, version in current_versions(connection, at=at).items()}


def failed(store: Database, number: int) -> tuple[Any, ...]:
    with store.read() as connection:
        columns = audience.c
        query = select(columns.problems, columns.failed_at).where(columns.id == number)
        return tuple(connection.execute(query).one())


def name_each_other(store: Database, *pairs: tuple[int, int]) -> None:
    rows = [{"audience_id": one, "refers_to": other} for one, other in pairs]
    store.write(lambda connection: connection.execute(insert(audience_reference), rows))


def later(hours: int, **values: Any) -> Calculation:
    return replace(MANUAL, computed_at=NOON + timedelta(hours=hours), **values)


def test_what_was_committed_is_served_with_all_that_is_known_of_it(database: Database) -> None:
    add_audience(database, 7, EVERYONE)

    assert commit(database, new(7)) == Committed([7], [], [])

    with database.read() as connection:
        (version,) = read_versions(connection)
        (stored,) = usable_audiences(connection)
    assert (version.number, version.definition, version.file) == (1, 1, "2026-11/a.parquet")
    assert (version.as_of, version.computed_at, version.warehouse) == (DAY, NOON, "20261120-01")
    assert (version.trigger, version.operator) == ("manual", "actor-1")
    assert (version.member_count, version.entered_count, version.left_count) == (3, 2, 1)
    assert stored.revision == 1


def test_an_old_version_is_what_was_served_then(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7))
    commit(database, new(7, 1, file="b"), calculation=later(2))

    assert served(database) == {7: (2, "b")}
    assert served(database, at=NOON + timedelta(hours=1)) == {7: (1, "2026-11/a.parquet")}
    assert served(database, at=NOON - timedelta(hours=1)) == {}


@pytest.mark.parametrize("base", [0, 2])
def test_one_whose_base_is_not_what_is_served_is_behind(database: Database, base: int) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7))

    assert commit(database, new(7, base, file="b"), calculation=later(1)) == Committed([], [7], [])
    assert served(database) == {7: (1, "2026-11/a.parquet")}


def test_one_that_nobody_wants_any_more_is_dropped_and_the_others_count(database: Database) -> None:
    for number in (1, 2, 3, 4):
        add_audience(database, number, EVERYONE)
    change(database, 1, is_enabled=False)
    change(database, 2, deleted_at=NOON)
    define(database, 3, share(0, 50))
    commit(database, new(3, definition=2, file="by the newer rule"))

    outcome = commit(database, *(new(number) for number in (1, 2, 3, 4, 99)))

    assert outcome == Committed([4], [], [1, 2, 3, 99])
    assert served(database) == {3: (1, "by the newer rule"), 4: (1, "2026-11/a.parquet")}


def test_one_by_an_older_definition_counts_until_the_newer_one_is_calculated(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    define(database, 7, share(0, 50))

    assert commit(database, new(7, definition=1)).done == [7]
    assert commit(database, new(7, 1, definition=2, file="b")).done == [7]


def test_committing_again_changes_nothing(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7))

    assert commit(database, new(7)) == Committed([7], [], [])
    assert served(database) == {7: (1, "2026-11/a.parquet")}


def test_committing_again_after_somebody_else_leaves_theirs(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7))
    commit(database, new(7, 1, file="theirs"), calculation=later(1))
    change(database, 7, is_enabled=False)

    assert commit(database, new(7)) == Committed([7], [], [])
    assert served(database) == {7: (2, "theirs")}


@pytest.mark.parametrize(
    "came_between",
    [
        pytest.param(later(1), id="later-on-the-same-version"),
        pytest.param(later(-1, warehouse="20261120-02"), id="on-the-days-next-version"),
        pytest.param(later(-1, warehouse="20261120-100"), id="on-the-days-hundredth"),
        pytest.param(later(-1, warehouse="20261121-01", as_of=DAY + timedelta(days=1)), id="on-the-next-day"),
    ],
)
def test_older_data_never_take_the_place_of_newer(database: Database, came_between: Calculation) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7, file="theirs"), calculation=came_between)

    assert commit(database, new(7)) == Committed([], [], [7])
    assert served(database) == {7: (1, "theirs")}


def test_newer_data_that_came_second_are_behind_and_count_once_they_are_compared(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    commit(database, new(7, file="theirs"), calculation=later(1))
    tonight = later(0, warehouse="20261121-01", as_of=DAY + timedelta(days=1), trigger="nightly")

    assert commit(database, new(7), calculation=tonight).behind == [7]
    assert commit(database, new(7, 1, file="b"), calculation=tonight).done == [7]

    with database.read() as connection:
        moments = [version.computed_at for version in read_versions(connection)]
    # It began first and counted second: what was served when is told by the moments.
    assert moments == [NOON + timedelta(hours=1), NOON + timedelta(hours=1, microseconds=1)]
    assert served(database, at=NOON + timedelta(hours=1)) == {7: (1, "theirs")}
    assert served(database, at=NOON + timedelta(hours=2)) == {7: (2, "b")}


def test_one_is_dropped_with_the_older_definition_of_what_it_names(database: Database) -> None:
    for number in (1, 2, 3, 4):
        add_audience(database, number, EVERYONE)
    # 3 names 2, which names 1.
    name_each_other(database, (2, 1), (3, 2))
    tonight = later(0, warehouse="20261121-01", as_of=DAY + timedelta(days=1), trigger="nightly")
    define(database, 1, share(0, 50))
    commit(database, *(new(number, definition=1 + (number == 1), file="by the edit") for number in (1, 2, 3)))

    outcome = commit(database, *(new(number) for number in (1, 2, 3, 4)), calculation=tonight)

    # Else 2 and 3 had members by a rule of 1 that nobody is served any more.
    assert outcome == Committed([4], [], [1, 2, 3])
    assert {served(database)[number] for number in (1, 2, 3)} == {(1, "by the edit")}


def test_what_was_found_wrong_since_the_rules_were_read_stays_wrong(database: Database) -> None:
    for number in (7, 8):
        add_audience(database, number, EVERYONE)
    database.write(lambda connection: note_refused(connection, {7: [PROBLEM]}, now=NOON - timedelta(minutes=10)))
    database.write(lambda connection: note_refused(connection, {8: [PROBLEM]}, now=NOON - timedelta(hours=1)))

    night = later(0, read_at=NOON - timedelta(minutes=30))
    assert commit(database, new(7), new(8), calculation=night).done == [7, 8]

    assert failed(database, 7)[1] == NOON - timedelta(minutes=10)
    assert failed(database, 8) == (None, None)


def test_a_refusal_is_not_told_of_one_that_went_well_since_the_rules_were_read(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    define(database, 7, share(0, 50))
    commit(database, new(7, definition=2), calculation=later(-1))

    database.write(
        lambda connection: note_refused(connection, {7: [PROBLEM]}, now=NOON, read_at=NOON - timedelta(hours=2))
    )

    assert failed(database, 7) == (None, None)


def test_calculations_are_forgotten_and_who_was_in_at_that_moment_is_not(database: Database) -> None:
    for number in (7, 8):
        add_audience(database, number, EVERYONE)
    for base, hours in enumerate((0, 1, 4)):
        commit(database, new(7, base, file=f"7-{hours}"), calculation=later(hours))
    for base, hours in enumerate((0, 2)):
        commit(database, new(8, base, file=f"8-{hours}"), calculation=later(hours))
    moment = NOON + timedelta(hours=3)
    then = served(database, at=moment)

    dropped = database.write(lambda connection: drop_versions(connection, before=moment))

    assert dropped == 2
    assert served(database, at=moment) == then == {7: (2, "7-1"), 8: (2, "8-2")}
    assert served(database) == {7: (3, "7-4"), 8: (2, "8-2")}
    assert database.write(lambda connection: drop_versions(connection, before=moment)) == 0


def test_a_calculation_is_committed_whole_or_not_at_all(database: Database) -> None:
    for number in (1, 2):
        add_audience(database, number, EVERYONE)

    def work(connection: Any) -> None:
        commit_versions(connection, [new(1), new(2)], MANUAL)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        database.write(work)

    assert served(database) == {}


def test_why_one_was_refused_is_told_until_it_goes_well(database: Database) -> None:
    add_audience(database, 7, EVERYONE)
    database.write(lambda connection: note_refused(connection, {7: [PROBLEM]}, now=NOON))

    assert failed(database, 7)[0][0]["code"] == "unknown_field"
    assert failed(database, 7)[1] == NOON

    commit(database, new(7), calculation=later(1))
    assert failed(database, 7) == (None, None)


def test_a_refusal_from_before_is_not_told_of_one_that_went_well_or_failed_since(database: Database) -> None:
    for number in (7, 8):
        add_audience(database, number, EVERYONE)
    commit(database, new(7), calculation=later(1))
    newest = replace(PROBLEM, code="newest")
    database.write(lambda connection: note_refused(connection, {8: [newest]}, now=NOON + timedelta(hours=1)))

    database.write(lambda connection: note_refused(connection, {7: [PROBLEM], 8: [PROBLEM]}, now=NOON))

    assert failed(database, 7) == (None, None)
    assert failed(database, 8)[0][0]["code"] == "newest"


def test_what_may_be_calculated_is_enabled_and_published(database: Database) -> None:
    for number in (1, 2, 3):
        add_audience(database, number, EVERYONE)
    add_audience(database, 4)
    add_audience(database, 5, kind="tag", is_smart=False)
    change(database, 2, is_enabled=False)
    change(database, 3, deleted_at=NOON)
    define(database, 1, share(0, 50))

    with database.read() as connection:
        rules, usable = stored_rules(connection), usable_audiences(connection)
    with database.read() as connection:
        snapshot = read_snapshot(connection, DAY)

    assert [(rule.id, rule.definition, rule.document) for rule in rules] == [(1, 2, share(0, 50))]
    assert [(one.id, one.kind, one.definition) for one in usable] == [(1, "segment", 2), (5, "tag", None)]
    assert (list(snapshot.rules), list(snapshot.usable)) == (rules, usable)
    told = {one.id: (one.group_name, one.is_enabled, one.is_deleted) for one in snapshot.named}
    assert told == {
        1: (None, True, False), 2: (None, False, False), 3: (None, True, True), 4: (None, True, False),
        5: ("价值", True, False),
    }  # fmt: skip


def test_members_are_read_only_of_static_ones_that_are_named(database: Database) -> None:
    add_audience(database, 1, all_of(in_segment(2)))
    for number in (2, 3):
        add_audience(database, number, is_smart=False)
        put_in(database, number, [f"C{number}", "Cgone"])
        take_out(database, number, ["Cgone"], at=NOON)

    with database.read() as connection:
        found = read_inputs(connection, [1])

    assert found.static == {2: ["C2"]}
    assert [rule.id for rule in found.rules] == [1]


def test_rows_of_members_come_in_pieces_of_one_moment(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.storage.audience_snapshot._CHUNK", 2)
    add_audience(database, 2, is_smart=False)
    put_in(database, 2, [f"C{number}" for number in range(5)])

    with database.read() as connection:
        read_snapshot(connection, DAY)
        pieces = read_member_rows(connection)
        first = next(pieces)["one_id"]
        # Behind a moment that was read, others go on.
        put_in(database, 2, ["Clate"])
        rest = [one for piece in pieces for one in piece["one_id"]]

    assert first + rest == [f"C{number}" for number in range(5)]


def test_a_store_without_the_tables_has_nothing_to_calculate(tmp_path: Path) -> None:
    store = Database(SharedSettings(data_dir=tmp_path))

    with store.read() as connection:
        assert not is_there(connection)
        assert list(read_member_rows(connection)) == []
        assert read_snapshot(connection, DAY).named == ()
    store.close()


def commit_until_done(store: Database, number: int, file: str) -> None:
    """What a worker does: read, compare, commit, and once more, as of now, where somebody came between."""
    while True:
        current = served(store).get(number)
        version = new(number, current[0] if current else 0, file=file)
        if commit(store, version, calculation=replace(MANUAL, computed_at=datetime.now(UTC))).done:
            return


def test_threads_that_commit_at_once_leave_one_row_of_numbers(database: Database) -> None:
    for number in (1, 2):
        add_audience(database, number, EVERYONE)
    work = [(number, f"{number}-{turn}") for number in (1, 2) for turn in range(6)]

    at_once(lambda one: commit_until_done(database, *one), work)

    with database.read() as connection:
        versions = read_versions(connection)
    assert [(one.audience_id, one.number) for one in versions] == [
        (number, one) for number in (1, 2) for one in range(1, 7)
    ]
    assert sorted(one.file for one in versions) == sorted(file for _, file in work)


IN_PROCESS = """
import sys
from pathlib import Path
from api.storage.database import Database
from segment_engine.runtime.settings import SharedSettings
from tests.api.storage.test_commit_versions import commit_until_done

name, data_dir, *url = sys.argv[1:]
store = Database(SharedSettings(data_dir=Path(data_dir), **({"database_url": url[0]} if url else {})))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(6):
    for number in (1, 2):
        commit_until_done(store, number, f"{name}-{number}-{turn}")
"""


def test_processes_that_commit_at_once_leave_one_row_of_numbers(
    database: Database, store: StoreSettings, tmp_path: Path
) -> None:
    for number in (1, 2):
        add_audience(database, number, EVERYONE)

    assert run_processes(["a", "b"], tmp_path / "data", store) == [0, 0]

    with database.read() as connection:
        versions = read_versions(connection)
    for number in (1, 2):
        own = [one for one in versions if one.audience_id == number]
        assert [one.number for one in own] == [*range(1, 13)]
        assert {one.file for one in own} == {f"{name}-{number}-{turn}" for name in "ab" for turn in range(6)}


def run_processes(names: Sequence[str], data_dir: Path, store: StoreSettings) -> list[int]:
    commands = [[sys.executable, "-c", IN_PROCESS, name, str(data_dir), *store.values()] for name in names]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    return [process.wait(timeout=120) for process in processes]
