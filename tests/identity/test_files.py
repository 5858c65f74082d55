"""`cdp identity resolve` on files: worlds whose answer the design tells, state between runs, and safe outputs."""

import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import networkx as nx
import pytest

from tests.identity.desk import Desk
from tests.identity.factory import Fact, Record, World, fan, lead, mini, patient, phone, wecom


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def groups(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split()) for text in texts}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_proven_phone_beats_a_remark_and_the_refused_link_is_listed(tmp_path: Path, suffix: str):
    desk = Desk(tmp_path, suffix)
    world = patient("A", "王芳", phone=phone(1)).plus(
        patient("B", "李雷", phone=phone(2)),
        fan("fan", unionid="u"),
        mini("mini", unionid="u", phone=phone(1)),
        wecom("wecom", unionid="u", phone=phone(2)),
    )

    told = desk.next(world)

    assert desk.together() == groups("A fan mini wecom", "B")
    ((value_type, masked, tier, reason),) = desk.rows("conflicts", "value_type, value_masked, tier, reason")
    assert (value_type, masked, tier, reason) == ("phone", "+86139****0002", 4, "name")
    assert told["events"] == {"LINKED": 5}
    assert (told["identities"], told["customers"], told["largest"]) == (5, 2, 4)
    assert told["seconds"] > 0
    assert told["peak_mb"] > 10


def test_a_recycled_phone_joins_no_file_but_still_the_accounts(desk: Desk):
    world = patient("old", "王芳", phone=phone(1)).plus(
        patient("new", "李雷", phone=phone(1)), fan("fan", phone=phone(1)), lead("lead", phone=phone(1))
    )

    desk.next(world)

    assert desk.together() == groups("old", "new", "fan lead")
    assert desk.rows("value_states") == [("phone", phone(1), "contested")]


def test_the_one_adult_of_a_family_owns_the_phone(desk: Desk):
    world = patient("mother", "王芳", phone=phone(1)).plus(
        patient("child", "王小明", phone=phone(1), is_minor=True), mini("mini", phone=phone(1))
    )

    desk.next(world)

    assert desk.together() == groups("mother mini", "child")
    assert desk.rows("value_states", "state") == [("family",)]


def test_a_front_desk_phone_joins_nobody(desk: Desk):
    named = [patient(f"P{number}", f"王{sign}", phone=phone(1)) for number, sign in enumerate("甲乙丙丁戊己")]

    desk.next(World().plus(*named, fan("fan", phone=phone(1)), lead("lead", phone=phone(1))))

    assert len(desk.together()) == 8
    assert desk.rows("value_states", "state") == [("hub",)]


def test_a_withdrawn_tie_gives_the_old_id_back(desk: Desk):
    apart = fan("fan", unionid="u1").plus(mini("mini", unionid="u2"))
    tied = fan("fan", unionid="u1").plus(mini("mini", unionid="u1"))
    desk.next(fan("fan"))
    desk.next(apart)
    before = desk.ids()

    desk.next(tied)
    merged = desk.rows("events")
    desk.next(apart)

    assert merged == [
        ("MOVED", "mini_program_user:wx:mini", before["mini"], before["fan"]),
        ("ID_MERGED", None, before["mini"], before["fan"]),
    ]
    assert desk.ids() == before
    assert desk.events() == ["MOVED", "ID_REVIVED"]


def test_a_key_that_is_missing_keeps_its_id_until_it_returns(desk: Desk):
    world = fan("fan", unionid="u").plus(mini("mini", unionid="u"), lead("lead"))
    desk.next(world)
    before = desk.ids()

    gone = desk.next(world.without("lead:leads:lead"))
    assignment = {key: (one_id, present) for key, one_id, _, present in desk.rows("assignment")}
    back = desk.next(world)

    assert gone["events"] == {"VANISHED": 1, "ID_DORMANT": 1}
    assert (gone["identities"], gone["customers"]) == (2, 1)
    assert assignment["lead:leads:lead"] == (before["lead"], False)
    assert back["events"] == {"RETURNED": 1, "ID_REVIVED": 1}
    assert desk.ids() == before


def test_the_same_night_again_leaves_the_same_answer(desk: Desk):
    world = fan("fan", unionid="u").plus(mini("mini", unionid="u"))
    first = desk.next(world)
    before = {name: desk.rows(name) for name in ("assignment", "events", "value_states", "conflicts")}

    second = desk.again(world.shuffled(1))

    assert {name: desk.rows(name) for name in before} == before
    assert second["events"] == first["events"] == {"LINKED": 2}


def test_the_same_night_with_other_input_starts_from_the_state_before_it(desk: Desk):
    desk.next(fan("fan"))
    desk.next(fan("fan").plus(lead("wrong")))

    told = desk.again(fan("fan").plus(lead("right")))

    assert told["events"] == {"LINKED": 1}
    assert desk.ids().keys() == {"fan", "right"}


def test_a_new_night_with_the_same_input_logs_no_event(desk: Desk):
    world = fan("fan", unionid="u").plus(mini("mini", unionid="u"))
    desk.next(world)

    told = desk.next(world)

    assert told["events"] == {}
    assert desk.rows("events") == []
    assert told["night"] == str(desk.night)


def test_customer_keys_are_dense_in_order_of_minting_and_never_reused(desk: Desk):
    desk.next(fan("a").plus(fan("b", seen=1)))
    desk.next(fan("b", seen=1).plus(fan("c", seen=2)))

    keys = {key.split(":")[-1]: number for key, _, number, _ in desk.rows("assignment")}

    assert keys == {"a": 0, "b": 1, "c": 2}


def test_phones_meet_in_e164_and_names_as_they_are_compared(desk: Desk):
    facts = ["138 0000 1111", "+8613800001111", "0086-138-0000-1111", "１３８００００１１１１"]
    names = ["王芳", "王 芳2", "王芳（本人）", "王芳"]
    records = [Record(f"patient:{n}", name_norm=name) for n, name in enumerate(names)]

    desk.next(World(tuple(records), tuple(Fact(r.key, "phone", f) for r, f in zip(records, facts, strict=True))))

    assert desk.together() == groups("0 1 2 3")


def test_a_value_that_is_no_phone_is_compared_as_given(desk: Desk):
    records = [Record(f"lead:{n}", "lead") for n in range(4)]
    values = ["abc", "ABC", "13800001111", "+8613800001111"]

    facts = [Fact(record.key, "card", value) for record, value in zip(records, values, strict=True)]
    desk.next(World(tuple(records), tuple(facts)))

    assert len(desk.together()) == 4


def test_optional_columns_may_be_missing_and_empty_values_are_ignored(desk: Desk):
    identities = desk.text("i.csv", "first_seen_at,KIND,key\n2026-01-01,lead,a\n2026-01-02 10:00:00,lead,b\n,lead,c\n")
    evidence = desk.text(
        "e.csv", 'key,value_type,value\r\na,note,"x,1"\r\nb,note,"x,1"\r\nc,,\r\nb,note,\r\nghost,phone,\r\n'
    )

    answer = desk.run(identities=identities, evidence=evidence)

    assert answer.exit_code == 0, answer.output
    assert desk.together() == groups("a b", "c")


def test_a_file_name_holds_no_pattern(desk: Desk):
    desk.write(fan("fan"))
    odd = desk.folder / "a[1]*'?.parquet"
    shutil.copy(desk.file("identities"), odd)
    shutil.copy(desk.file("evidence"), desk.folder / "a1x.parquet")  # what a pattern would find

    answer = desk.run(identities=odd)

    assert answer.exit_code == 0, answer.output


def test_config_replaces_thresholds(desk: Desk):
    world = fan("a", phone=phone(1)).plus(fan("b", phone=phone(1)), fan("c", phone=phone(1)))

    desk.next(world, config=desk.text("c.yaml", "hub_records: 2\n"))

    assert len(desk.together()) == 3
    assert desk.rows("value_states", "state") == [("hub",)]


def test_overrides_hold_for_their_night_only(desk: Desk):
    world = patient("A", "王芳", phone=phone(1)).plus(patient("B", "李雷", phone=phone(2)))
    rules = desk.text("o.csv", "kind,a,b\nmerge,patient:saas:A,patient:saas:B\n")

    desk.next(world, overrides=rules)
    merged = desk.together()
    desk.next(world)

    assert merged == groups("A B")
    assert desk.together() == groups("A", "B")


@pytest.mark.parametrize(
    "rule", ["block,139 0000 0001,", "detach,lead:leads:lead,139 0000 0001", "split,lead:leads:lead,patient:saas:A"]
)
def test_an_operator_may_write_a_phone_as_people_do(desk: Desk, rule: str):
    world = patient("A", "王芳", phone=phone(1)).plus(lead("lead", phone="13900000001"))

    desk.next(world)
    before = desk.together()
    desk.next(world, overrides=desk.text("o.csv", f"kind,a,b\n{rule}\n"))

    assert before == groups("A lead")
    assert desk.together() == groups("A", "lead")


def test_a_revoked_row_is_not_in_force(desk: Desk):
    rules = "kind,a,b,id,revoked_at\nmerge,lead:leads:a,lead:leads:b,7,2026-01-01\n"

    desk.next(lead("a").plus(lead("b")), overrides=desk.text("o.csv", rules))

    assert len(desk.together()) == 2


def test_without_limits_customers_are_plain_components(desk: Desk):
    rng = random.Random(4)
    records = [Record(f"patient:{n}", name_norm=f"王{n}", birth_date=None) for n in range(400)]
    pairs = {(rng.choice(records).key, phone(rng.randrange(300))) for _ in range(500)}
    pairs |= {(records[n].key, "13800138000") for n in range(50)}
    graph = nx.Graph([(("key", key), ("value", value)) for key, value in pairs])
    graph.add_nodes_from(("key", record.key) for record in records)
    expected = {
        frozenset(name.split(":")[-1] for kind, name in component if kind == "key")
        for component in nx.connected_components(graph)
    } - {frozenset()}
    rules = desk.text("o.csv", "kind,a,b\nsplit,patient:0,patient:1\nmerge,patient:0,patient:1\n")

    desk.next(
        World(tuple(records), tuple(Fact(key, "phone", value) for key, value in sorted(pairs))),
        "--no-limits",
        overrides=rules,
    )

    assert desk.together() == expected
    assert max(len(group) for group in expected) > 50


def test_an_output_that_cannot_be_replaced_leaves_the_others_and_is_mended_by_a_new_run(desk: Desk):
    desk.next(fan("fan"))
    before = {name: desk.rows(name) for name in ("events", "value_states", "conflicts")}
    (desk.out / "assignment.parquet").unlink()
    (desk.out / "assignment.parquet").mkdir()
    desk.write(fan("fan").plus(lead("new")))
    desk.night += timedelta(days=1)

    broken = desk.run()
    kept = {name: desk.rows(name) for name in before}
    (desk.out / "assignment.parquet").rmdir()
    mended = desk.run()

    assert (broken.exit_code, mended.exit_code) == (1, 0)
    assert "Traceback" not in broken.output
    assert kept == before
    assert (desk.ids().keys(), desk.events()) == ({"fan", "new"}, ["LINKED"])
    assert not (desk.out / ".writing").exists()


def test_a_run_killed_while_it_writes_leaves_the_former_outputs_and_the_next_mends_them(desk: Desk):
    desk.next(fan("fan"))
    former = {file.name: file.read_bytes() for file in desk.out.iterdir()}
    many = [Record(f"lead:{n}", "lead") for n in range(60_000)]
    desk.write(World(tuple(many), tuple(Fact(record.key, "x", f"{n // 2}") for n, record in enumerate(many))))
    desk.night += timedelta(days=1)
    files = {name: str(desk.file(name)) for name in ("identities", "evidence")} | {
        "state": str(desk.state),
        "out": str(desk.out),
    }
    command = [sys.executable, "-m", "pipelines.cli", "identity", "resolve", "--night", str(desk.night)]
    with subprocess.Popen([*command, *(part for name, path in files.items() for part in (f"--{name}", path))]) as run:
        while run.poll() is None and not (desk.out / ".writing" / "assignment.parquet").exists():
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)

    left = {file.name: file.read_bytes() for file in desk.out.iterdir() if file.is_file()}
    mended = desk.run()

    assert run.returncode == -signal.SIGKILL
    assert left == former
    assert mended.exit_code == 0
    assert len(desk.rows("assignment")) == 60_001
    assert sorted(set(desk.events())) == ["ID_DORMANT", "LINKED", "VANISHED"]
    assert {file.name for file in desk.out.iterdir()} == set(former)
