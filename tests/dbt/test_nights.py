"""What one night leaves for the next: history, events, aliases; and what a night refuses."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import duckdb
import pytest

from tests.dbt.conftest import EVERYWHERE, FIRST_NIGHT, first_world
from tests.dbt.factory import assignments, loaded_batches, write_raw, write_state
from tests.dbt.runner import Outcome, publish, run_dbt

SECOND_NIGHT = date(2026, 11, 21)
CUSTOMER_MODELS = ("run", "--select", "intermediate.identity", "intermediate.customer", "marts.customer")


@pytest.fixture(scope="module")
def folder(data_dir: Path, first_night: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("nights") / "data"
    copytree(data_dir, copy)
    publish(copy, "20261120-01")
    return copy


@pytest.fixture(scope="module")
def second_night(folder: Path) -> Iterator[list[tuple[Any, ...]]]:
    """P1 moves to Shanghai, the lead of customer 2 turns out to be customer 1."""
    world = first_world()
    world["saas__patients"][1]["city"] = "上海"
    warehouse = folder / "build" / "warehouse.duckdb"
    write_raw(warehouse, world)
    state = assignments({0: EVERYWHERE[0], 1: ["patient:saas:P1", "lead:leads:L2"]})
    state["identity.registry"].append(
        {"one_id": "C2", "customer_key": 2, "founder_key": "lead:leads:L2", "status": "merged", "merged_into": "C1"}
    )
    state["identity.event"] = [
        {"night": FIRST_NIGHT, "seq": 1, "event": "LINKED", "key": "lead:leads:L2", "to_id": "C2"},
        {"night": SECOND_NIGHT, "seq": 1, "event": "ID_MERGED", "from_id": "C2", "to_id": "C1"},
    ]
    write_state(warehouse, {**state, "ingest.batch": loaded_batches(SECOND_NIGHT)})
    outcome = run_dbt(folder, *CUSTOMER_MODELS, as_of=SECOND_NIGHT)
    assert outcome.with_status("error") == set()
    yield _history(folder)


def test_changed_attribute_opens_a_version_and_a_merged_customer_is_closed(second_night: list[tuple[Any, ...]]):
    assert second_night == [
        (0, FIRST_NIGHT, None, None),
        (1, FIRST_NIGHT, SECOND_NIGHT, "杭州"),
        (1, SECOND_NIGHT, None, "上海"),
        (2, FIRST_NIGHT, SECOND_NIGHT, None),
    ]


def test_merged_id_resolves_to_the_customer_it_went_into(folder: Path, second_night: list[tuple[Any, ...]]):
    assert _rows(folder, "select old_one_id, one_id, customer_key from serving.marts.one_id_alias") == [("C2", "C1", 1)]


def test_same_night_again_leaves_the_same_history_and_events(folder: Path, second_night: list[tuple[Any, ...]]):
    events = _events(folder)

    run_dbt(folder, *CUSTOMER_MODELS, as_of=SECOND_NIGHT)

    assert _history(folder) == second_night
    assert _events(folder) == events


def test_events_of_a_night_that_failed_after_identity_follow_with_the_next(
    data_dir: Path, first_night: Outcome, tmp_path: Path
):
    copytree(data_dir, tmp_path / "data")
    nights = [FIRST_NIGHT, FIRST_NIGHT + timedelta(days=1), FIRST_NIGHT + timedelta(days=2)]

    def next_night(events: list[tuple[date, int, str]]) -> list[tuple[Any, ...]]:
        """Identity has these events when the marts of the newest of their nights are built."""
        rows = [{"night": night, "seq": seq, "event": event} for night, seq, event in events]
        write_state(
            tmp_path / "data" / "build" / "warehouse.duckdb", {**assignments(EVERYWHERE), "identity.event": rows}
        )
        outcome = run_dbt(tmp_path / "data", "build", "--select", "identity_event", "identity_events_equal_the_source",
                          as_of=max(events)[0])  # fmt: skip
        assert outcome.with_status("error", "fail") == set()
        return _events(tmp_path / "data")

    first = [(nights[0], 1, "LINKED")]
    assert next_night(first) == first
    # The first night is resolved again, and its marts fail; the second stops right after identity.
    mended = [(nights[0], 1, "RETURNED"), (nights[1], 1, "MOVED"), (nights[2], 1, "VANISHED")]
    assert next_night(mended) == mended


def test_rerun_with_the_old_input_takes_the_night_back(folder: Path, second_night: list[tuple[Any, ...]]):
    warehouse = folder / "build" / "warehouse.duckdb"
    write_raw(warehouse, first_world())
    write_state(warehouse, {**assignments(EVERYWHERE), "ingest.batch": loaded_batches(SECOND_NIGHT)})

    run_dbt(folder, *CUSTOMER_MODELS, as_of=SECOND_NIGHT)

    assert _history(folder) == [
        (0, FIRST_NIGHT, None, None),
        (1, FIRST_NIGHT, None, "杭州"),
        (2, FIRST_NIGHT, None, None),
    ]


def test_attribute_added_later_is_unknown_in_the_versions_there_are(folder: Path, second_night: list[tuple[Any, ...]]):
    before = _history(folder)
    with duckdb.connect(str(folder / "published" / "marts-20261120-01.duckdb")) as con:
        con.execute("drop view analyst.customer_attribute_history")
        con.execute("alter table marts.customer_attribute_history drop column member_level")

    run_dbt(folder, "run", "--select", "customer_attribute_history", as_of=SECOND_NIGHT)

    assert _history(folder) == before
    assert _rows(folder, "select distinct member_level from serving.marts.customer_attribute_history") == [(None,)]


def _night_in(folder: Path, city: str, *, as_of: date) -> None:
    """A night up to the history, with P1 living in this city."""
    world = first_world()
    world["saas__patients"][1]["city"] = city
    write_raw(folder / "build" / "warehouse.duckdb", world)
    assert run_dbt(folder, *CUSTOMER_MODELS, as_of=as_of).with_status("error") == set()


def test_history_knows_published_nights_only(data_dir: Path, first_night: Outcome, tmp_path: Path):
    folder = tmp_path / "data"
    copytree(data_dir, folder)
    third, fourth = SECOND_NIGHT + timedelta(days=1), SECOND_NIGHT + timedelta(days=2)
    publish(folder, "20261120-01")

    _night_in(folder, "错误", as_of=SECOND_NIGHT)  # and its checks fail
    _night_in(folder, "上海", as_of=third)
    publish(folder, "20261122-01")
    _night_in(folder, "错误", as_of=third)  # once more, and its checks fail
    _night_in(folder, "宁波", as_of=fourth)

    assert [row for row in _history(folder) if row[0] == 1] == [
        (1, FIRST_NIGHT, third, "杭州"),
        (1, third, fourth, "上海"),
        (1, fourth, None, "宁波"),
    ]


def test_near_a_limit_since_the_first_served_night_of_an_unbroken_row(
    data_dir: Path, first_night: Outcome, tmp_path: Path
):
    folder = tmp_path / "data"
    copytree(data_dir, folder)
    nights = [FIRST_NIGHT + timedelta(days=days) for days in range(5)]

    def near(sizes: dict[int, int], night: date, *, served: bool = True) -> dict[str, date]:
        """Who is near a limit, and since when, when the customers have so many identities; 0 is merged into 1."""
        padding = {number: [f"lead:leads:{number}-{one}" for one in range(size)] for number, size in sizes.items()}
        customers = {number: [*EVERYWHERE[number], *padding[number]][:size] for number, size in sizes.items() if size}
        state = assignments(customers)
        state["identity.registry"] += [
            {"one_id": f"C{number}", "customer_key": number, "status": "merged", "merged_into": "C1"}
            for number, size in sizes.items()
            if not size
        ]
        write_state(folder / "build" / "warehouse.duckdb", state)
        models = ("one_id_alias", "dim_identity", "dim_customer", "identity_near_limit")
        assert run_dbt(folder, "run", "--select", *models, as_of=night).with_status("error") == set()
        if served:
            publish(folder, f"{night:%Y%m%d}-01")
        return dict(_rows(folder, "select one_id, since_night from serving.marts.identity_near_limit order by all"))

    assert near({0: 48, 1: 47}, nights[0]) == {"C0": nights[0]}
    assert near({0: 49, 1: 48}, nights[1], served=False) == {"C0": nights[0], "C1": nights[1]}
    assert near({0: 49, 1: 48}, nights[2]) == {"C0": nights[0], "C1": nights[2]}
    # The served night once more: as before; without C1, which then was never near; with C1 again.
    assert near({0: 49, 1: 48}, nights[2]) == {"C0": nights[0], "C1": nights[2]}
    assert near({0: 49, 1: 5}, nights[2]) == {"C0": nights[0]}
    # A survivor who was not near is new, though the merged id was near; its night is over when it comes back.
    assert near({0: 0, 1: 55}, nights[3]) == {"C1": nights[3]}
    assert near({0: 50, 1: 50}, nights[4]) == {"C0": nights[4], "C1": nights[3]}


def test_one_table_that_stops_is_warned_of_though_its_source_goes_on(data_dir: Path, tmp_path: Path):
    copytree(data_dir, tmp_path / "data")
    stale, refused, tolerable = ("saas", "patients"), ("leads", "leads"), ("saas", "visits")
    batches = [
        batch
        for batch in loaded_batches(SECOND_NIGHT)
        if (batch["source"], batch["table_name"]) not in {stale, tolerable}
    ]
    for batch in batches:
        if (batch["source"], batch["table_name"]) == refused:
            batch["refusal_code"] = "checksum_mismatch"
    for table, days in ((stale, 3), (tolerable, 2)):
        day = SECOND_NIGHT - timedelta(days=days)
        batches += [batch for batch in loaded_batches(day) if (batch["source"], batch["table_name"]) == table]
    write_state(tmp_path / "data" / "build" / "warehouse.duckdb", {**assignments(EVERYWHERE), "ingest.batch": batches})

    outcome = run_dbt(
        tmp_path / "data",
        "build", "--select", "batch", "--exclude-resource-type", "unit_test",
        as_of=SECOND_NIGHT,
    )  # fmt: skip

    assert outcome.statuses["tables_are_fresh"] == "warn"
    assert outcome.failures["tables_are_fresh"] == 2


MERGED = {"id": "ov1", "kind": "merge", "a": "patient:saas:P1", "b": "patient:saas:x"}
STRANGER = {"id": "ov1", "kind": "merge", "a": "patient:saas:P1", "b": "patient:saas:gone"}


@pytest.mark.parametrize(
    ("decided", "failed"),
    [
        ((), {"no_customer_holds_two_patient_names"}),
        ((STRANGER,), {"no_customer_holds_two_patient_names"}),
        # Also without an event that tells of the merge: a rebuilt history has none.
        ((MERGED,), set()),
    ],
    ids=["nobody merged them", "one is merged with somebody else", "an operator merged them"],
)
def test_two_patient_names_in_one_customer_fail_the_night_unless_an_operator_merged_them(
    folder: Path, second_night: list[tuple[Any, ...]], decided: tuple[dict[str, str], ...], failed: set[str]
):
    wrong = {0: [*EVERYWHERE[0], "patient:saas:P1"], 2: EVERYWHERE[2]}
    write_state(
        folder / "build" / "warehouse.duckdb",
        {**assignments(wrong), "ingest.batch": loaded_batches(FIRST_NIGHT), "identity.override_seen": decided},
    )

    outcome = run_dbt(
        folder,
        "build",
        "--select", "dim_identity", "int_customer_of_two_names", "no_customer_holds_two_patient_names", "batch",
        "--exclude-resource-type", "unit_test",
        as_of=date(2026, 11, 25),
    )  # fmt: skip

    assert outcome.with_status("fail") == failed
    # The newest batches are five days old: that is worth a warning and fails nothing.
    assert outcome.with_status("warn") == {"tables_are_fresh"}


def _history(folder: Path) -> list[tuple[Any, ...]]:
    return _rows(
        folder,
        "select customer_key, valid_from, valid_to, city from serving.marts.customer_attribute_history order by all",
    )


def _events(folder: Path) -> list[tuple[Any, ...]]:
    return _rows(folder, "select night, seq, event from serving.marts.identity_event order by all")


def _rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        con.execute(f"attach '{folder / 'build' / 'serving.duckdb'}' as serving (read_only)")
        return con.execute(query).fetchall()
