"""`cdp identity preview` over the shared night: what it says, what it refuses, and that it changes nothing."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from sqlalchemy import insert
from typer.testing import CliRunner

from api.storage.database import Database
from api.storage.schema import upgrade
from api.storage.tables.identity import identity_override
from pipelines.cli import app
from pipelines.settings import PipelineSettings
from pipelines.warehouse.built import Stage, read_built, write_built
from pipelines.warehouse.lock import writer_lock
from pipelines.warehouse.proposal import InvalidProposalError, read_proposal


@pytest.fixture
def patients(own_copy: PipelineSettings) -> list[tuple[str, str]]:
    """Patient files of different customers, with the ids of those."""
    with duckdb.connect(str(own_copy.folders.warehouse), read_only=True) as con:
        return con.execute("""
            select min(key), one_id from identity.assignment where starts_with(key, 'patient:') group by one_id
            order by 1 limit 4
        """).fetchall()


def ask(settings: PipelineSettings, proposal: Any, *options: str) -> Result:
    text = proposal if isinstance(proposal, str | bytes) else json.dumps(proposal)
    env = {"CDP_DATA_DIR": str(settings.data_dir), "CDP_LOCK_WAIT_SECONDS": "0", "TERM": "dumb", "COLUMNS": "200"}
    return CliRunner(env=env).invoke(app, ["identity", "preview", *options], input=text)


def answer(settings: PipelineSettings, proposal: Any) -> dict[str, Any]:
    result = ask(settings, proposal, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def problems(settings: PipelineSettings, proposal: Any, code: int) -> set[tuple[str, str]]:
    result = ask(settings, proposal, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)["problems"]
    assert all(one["message_zh"] and one["message_en"] for one in found)
    return {(one["code"], one["path"]) for one in found}


def merge(a: str, b: str, **more: str) -> dict[str, str]:
    return {"kind": "merge", "a": a, "b": b, **more}


def decide(settings: PipelineSettings, *rows: tuple[str, str, str, str]) -> None:
    """Operator rows in a new store."""
    store = Database(settings)
    upgrade(store)
    at = datetime(2026, 11, 21, 4, tzinfo=UTC)
    made = [
        {"id": id_, "kind": kind, "a": a, "b": b, "reason": "r", "operator": "o", "valid_from": at, "version": 1,
         "value_type": None if kind in ("merge", "split") else "phone", "created_at": at}
        for id_, kind, a, b in rows
    ]  # fmt: skip
    store.write(lambda connection: connection.execute(insert(identity_override).values(made)))
    store.close()


def test_a_merge_is_told_and_the_warehouse_stays_as_it_is(
    own_copy: PipelineSettings, patients: list[tuple[str, str]]
) -> None:
    (a, one), (b, other), *_ = patients
    before = hashlib.sha256(own_copy.folders.warehouse.read_bytes()).hexdigest()

    found = answer(own_copy, {"rows": [merge(a, b, id="mine")]})
    shown = ask(own_copy, {"rows": [merge(a, b)]})

    assert found["event_counts"]["ID_MERGED"] == 1
    (merged,) = [event for event in found["events"] if event["event"] == "ID_MERGED"]
    assert {merged["from_id"], merged["to_id"]} == {one, other}
    assert merged["override_id"] == "mine"
    assert (found["gone_events"], found["last_night"]) == ([], "2026-11-20")
    assert shown.exit_code == 0
    assert "ID_MERGED" in shown.stdout
    assert merged["to_id"] in shown.stdout
    assert hashlib.sha256(own_copy.folders.warehouse.read_bytes()).hexdigest() == before
    assert not list(own_copy.folders.build.glob("*.wal"))


def test_what_stands_already_is_not_told_and_revoking_it_is(
    own_copy: PipelineSettings, patients: list[tuple[str, str]]
) -> None:
    (a, _), (b, _), (c, _), (d, _) = patients
    decide(own_copy, ("ov_1", "merge", a, b))

    beside = answer(own_copy, {"rows": [merge(c, d)]})
    revoked = answer(own_copy, {"revoke": ["ov_1"]})

    assert beside["event_counts"]["ID_MERGED"] == 1
    assert {event["key"] for event in beside["events"]}.isdisjoint({a, b})
    assert (revoked["event_counts"], revoked["gone_event_counts"]["ID_MERGED"]) == ({}, 1)


def test_what_saving_refuses_is_refused_with_every_problem(
    own_copy: PipelineSettings, patients: list[tuple[str, str]]
) -> None:
    (a, _), (b, _), (c, _), _ = patients
    decide(own_copy, ("ov_1", "merge", a, b), ("ov_2", "split", b, c))
    rows = [merge(a, c), merge(b, a), {"kind": "split", "a": a, "b": b}, merge("patient:saas:?", a), merge(a, a)]

    found = problems(own_copy, {"rows": rows, "revoke": ["ov_9"]}, code=2)

    assert found == {
        ("override_unknown", "/revoke/0"),
        ("merge_across_split", "/rows/0"),
        ("override_exists", "/rows/1"),
        ("split_inside_merge", "/rows/2"),
        ("unknown_identity", "/rows/3/a"),
        ("same_identity", "/rows/4"),
    }


WRONG: list[tuple[Any, set[tuple[str, str]]]] = [
    ("", {("not_json", "")}),
    (b"\xff\xfe\xff", {("not_json", "")}),
    ("[" * 100_000, {("not_json", "")}),
    (r'{"revoke": ["\ud800"]}', {("not_json", "")}),
    ("[]", {("wrong_shape", "")}),
    ({"rows": 1}, {("wrong_shape", "")}),
    ({}, {("empty", "")}),
    ({"rows": [1], "revoke": [1, ""], "more": 1},
     {("wrong_shape", "/rows/0"), ("wrong_shape", "/revoke/0"), ("wrong_shape", "/revoke/1"),
      ("unknown_member", "/more")}),
    ({"rows": [{"kind": "marry", "x": 1}, {"kind": ["merge"]}, {"kind": "merge", "a": 1, "id": 2}]},
     {("kind", "/rows/0/kind"), ("unknown_member", "/rows/0/x"), ("kind", "/rows/1/kind"),
      ("wrong_shape", "/rows/2/id"), ("missing", "/rows/2/a"), ("missing", "/rows/2/b")}),
    ({"rows": [{"kind": "block", "a": "1", "b": "2"}]}, {("unknown_member", "/rows/0/b")}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_proposal_is_refused_with_every_problem(text: Any, expected: set[tuple[str, str]]) -> None:
    with pytest.raises(InvalidProposalError) as refused:
        read_proposal(text if isinstance(text, str | bytes) else json.dumps(text))

    assert {(one.code, one.path) for one in refused.value.problems} == expected


def test_a_phone_may_be_spelt_in_any_way() -> None:
    (row,) = read_proposal('{"rows": [{"kind": "block", "a": "138 1234-5678"}]}').rows

    assert row.a == "+8613812345678"


def test_beside_a_running_night_one_is_told_to_come_back(own_copy: PipelineSettings) -> None:
    proposal = {"rows": [{"kind": "block", "a": "13812345678"}]}

    with writer_lock(own_copy.folders, wait_seconds=0, owner="test"):
        assert problems(own_copy, proposal, code=1) == {("warehouse_busy", "")}
        said = ask(own_copy, proposal)

    assert said.exit_code == 1
    assert "try again later" in said.stderr
    assert "请稍后再试" in said.stderr


def test_without_a_finished_night_one_is_told_to_run_one(own_copy: PipelineSettings) -> None:
    proposal = {"rows": [{"kind": "block", "a": "13812345678"}]}
    built = read_built(own_copy.folders)
    assert built is not None

    write_built(own_copy.folders, type(built)(built.as_of, built.fingerprint, Stage.INPUTS))

    assert problems(own_copy, proposal, code=1) == {("night_needed", "")}


def test_where_nothing_ever_ran_one_is_told_to_run_a_night_and_nothing_is_made(
    empty_settings: PipelineSettings,
) -> None:
    proposal = {"rows": [{"kind": "block", "a": "13812345678"}]}

    assert problems(empty_settings, proposal, code=1) == {("night_needed", "")}
    assert not empty_settings.data_dir.exists()


def test_a_file_that_cannot_be_read_is_told(own_copy: PipelineSettings, tmp_path: Path) -> None:
    said = ask(own_copy, "", "--rows", str(tmp_path / "missing.json"))

    assert said.exit_code == 2
    assert "rows" in said.stderr
