"""What the circuit breaker's checks trip on, and what they let pass."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from pipelines.breaker import ACCEPTABLE, COMPARING
from pipelines.identity.model import IdentityConfig
from pipelines.settings import PipelineSettings
from pipelines.warehouse.publish import publish_marts
from tests.dbt.conftest import EVERYWHERE, FIRST_NIGHT, first_world
from tests.dbt.factory import ZONE, assignments, write_raw, write_state
from tests.dbt.runner import PROJECT, Outcome, run_dbt

TONIGHT = FIRST_NIGHT + timedelta(days=1)
CHECKS = (
    "build", "--select", "int_identity", "dim_identity", "dim_customer", "identity_event", "int_customer_of_two_names",
    *ACCEPTABLE, "--indirect-selection", "empty",
)  # fmt: skip
MANY = 100


def leads(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def night(
    folder: Path,
    customers: Mapping[int, Iterable[str]],
    events: Iterable[dict[str, Any]] = (),
    *,
    patients: Iterable[str] = (),
    erased: dict[int, Iterable[str]] | None = None,
    as_of: date = TONIGHT,
) -> Outcome:
    """One night up to the checks: each customer's leads, the patients who are customer 0, and what identity logged."""
    world = first_world()
    world["leads__leads"] += [{"lead_id": lead, "name": lead} for held in customers.values() for lead in held]
    world["saas__patients"] += [{"patient_id": name, "name": name} for name in patients]
    keys = {0: EVERYWHERE[0] + [f"patient:saas:{name}" for name in patients], 1: EVERYWHERE[1], 2: EVERYWHERE[2]}
    keys |= {number: [f"lead:leads:{lead}" for lead in held] for number, held in customers.items()}
    state = assignments(keys)
    for number, gone in (erased or {}).items():
        state["identity.assignment"] += [
            {"key": f"lead:leads:erased-{lead}", "one_id": f"C{number}", "customer_key": number, "present": False}
            for lead in gone
        ]
        state["identity.registry"].append({"one_id": f"C{number}", "customer_key": number, "status": "erased"})
    warehouse = folder / "build" / "warehouse.duckdb"
    write_raw(warehouse, world)
    write_state(warehouse, {**state, "identity.event": events})
    return run_dbt(folder, *CHECKS, as_of=as_of)


@pytest.fixture(scope="module")
def served(data_dir: Path, first_night: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A served version in which a hundred leads are a customer each."""
    folder = tmp_path_factory.mktemp("breaker") / "data"
    copytree(data_dir, folder)
    outcome = night(folder, {10 + n: [lead] for n, lead in enumerate(leads("N", MANY))})
    assert outcome.with_status("fail", "error", "skipped") == set()
    publish(folder, FIRST_NIGHT)
    return folder


def publish(folder: Path, as_of: date, *, accepted: bool = False) -> Path:
    """Serve what is built; the version's file."""
    publication = publish_marts(
        PipelineSettings(data_dir=folder),
        run_id="r",
        as_of=as_of,
        now=datetime(2026, 11, 25, tzinfo=ZoneInfo(ZONE)),
        fingerprint="f",
        catalog_json="{}",
        count_anew=accepted,
    )
    assert publication.status == "published"
    return folder / "published" / publication.pointer.file


def moved(keys: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"night": TONIGHT, "seq": seq, "event": "MOVED", "key": key, "from_id": "C0", "to_id": "C1"}
        for seq, key in enumerate(keys)
    ]


def everything_wrong(folder: Path) -> Outcome:
    """Thirty leads gone, the others one customer, and two names in another."""
    kept = leads("N", 70)
    events = moved(f"lead:leads:{lead}" for lead in kept[1:])
    return night(folder, {10: kept}, events, patients=["甲", "乙"])


def test_each_check_trips_and_an_accepted_one_only_warns(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tripped = everything_wrong(served)
    monkeypatch.setenv("CDP_ACCEPTED_CHECKS", ",".join(ACCEPTABLE[:-1]))
    accepted = everything_wrong(served)

    assert tripped.with_status("fail") == set(ACCEPTABLE)
    assert tripped.failures["identity_moves_too_many"] == 69
    assert (accepted.with_status("warn"), accepted.with_status("fail")) == (set(ACCEPTABLE[:-1]), set(ACCEPTABLE[-1:]))


def test_erasing_many_persons_trips_nothing(served: Path) -> None:
    listed = list(enumerate(leads("N", MANY)))
    stay, gone = listed[:40], listed[40:]
    # They had moved earlier tonight; the log keeps that under their pseudonyms.
    events = moved(f"lead:leads:erased-{lead}" for _, lead in gone)

    outcome = night(served, {10 + n: [lead] for n, lead in stay}, events, erased={10 + n: [lead] for n, lead in gone})

    assert outcome.with_status("fail", "warn", "error", "skipped") == set()
    assert set(ACCEPTABLE) <= outcome.with_status("pass")


def test_moves_of_a_night_that_was_stopped_are_asked_about_the_night_after_too(served: Path) -> None:
    joined, alone = leads("N", MANY)[:60], leads("N", MANY)[60:]
    customers = {10: joined} | {70 + number: [lead] for number, lead in enumerate(alone)}
    events = moved(f"lead:leads:{lead}" for lead in joined[1:])

    outcome = night(served, customers, events, as_of=TONIGHT + timedelta(days=1))

    assert outcome.with_status("fail") == {"identity_moves_too_many"}
    assert outcome.failures["identity_moves_too_many"] == 59


@pytest.fixture
def today(served: Path, tmp_path: Path) -> Path:
    """A day on which nothing has happened yet."""
    return Path(copytree(served, tmp_path / "data"))


def refresh(folder: Path, joined: int) -> Outcome:
    """A run of the same day, in which so many leads more than the first have become one customer since yesterday."""
    listed = leads("N", MANY)
    customers = {10: listed[: joined + 1]} | {10 + n: [listed[n]] for n in range(joined + 1, MANY)}
    return night(folder, customers, moved(f"lead:leads:{lead}" for lead in listed[1 : joined + 1]))


def test_moves_of_a_day_add_up_over_its_runs(today: Path) -> None:
    few = refresh(today, 14)
    publish(today, TONIGHT)
    many = refresh(today, 29)

    assert few.with_status("fail") == set()
    assert many.with_status("fail") == {"identity_moves_too_many"}
    assert many.failures["identity_moves_too_many"] == 29


def test_what_was_accepted_is_not_asked_about_again_that_day(today: Path) -> None:
    refresh(today, 29)
    publish(today, TONIGHT, accepted=True)
    few = refresh(today, 43)
    publish(today, TONIGHT)
    many = refresh(today, 58)

    assert few.with_status("fail") == set()
    assert many.failures["identity_moves_too_many"] == 29


def test_without_the_version_to_compare_with_the_served_one_stands_for_it(today: Path) -> None:
    refresh(today, 14)
    latest = publish(today, TONIGHT)
    for file in (today / "published").glob("marts-*.duckdb"):
        if file != latest:
            file.unlink()

    assert refresh(today, 29).with_status("fail") == set()
    assert refresh(today, 44).with_status("fail") == {"identity_moves_too_many"}


def test_losses_of_a_day_add_up_over_its_runs(today: Path) -> None:
    listed = list(enumerate(leads("N", MANY)))
    few = night(today, {10 + n: [lead] for n, lead in listed[:85]})
    publish(today, TONIGHT)
    many = night(today, {10 + n: [lead] for n, lead in listed[:70]})

    assert few.with_status("fail") == set()
    assert many.with_status("fail") == {"identity_source_shrank"}


def test_the_limits_told_to_dbt_are_those_of_identity() -> None:
    told = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]["identity_limits"]

    config = IdentityConfig()
    assert told == {"customer_records": config.customer_records, "customer_unions": config.customer_unions}


def test_the_checks_that_compare_with_an_earlier_version_are_known_as_such() -> None:
    asking = {file.stem for file in (PROJECT / "tests").rglob("*.sql") if "breaker_base(" in file.read_text("utf-8")}

    assert asking == COMPARING


def test_every_check_that_may_be_accepted_says_how_in_both_languages() -> None:
    checks = yaml.safe_load((PROJECT / "tests" / "_checks.yml").read_text("utf-8"))["data_tests"]
    advice = {check["name"]: check["description"] for check in checks if "--accept" in check["description"]}

    assert set(advice) == set(ACCEPTABLE)
    for name, text in advice.items():
        assert text.count(f"--accept {name}") == 2
        assert any("\u4e00" <= sign <= "\u9fff" for sign in text)
