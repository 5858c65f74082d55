"""What `cdp identity resolve` refuses: all at once, every row named, in both languages, and nothing is changed."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.identity.desk import Desk
from tests.identity.factory import fan, lead

GOOD_IDENTITIES = "key,kind,first_seen_at\na,lead,2026-01-01\n"
GOOD_EVIDENCE = "key,value_type,value\na,phone,1\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, "csv")


def refusal(desk: Desk, **content: str | Path) -> str:
    """What the command says of these contents, having left no output; a path is given as it is."""
    content = {"identities": GOOD_IDENTITIES, "evidence": GOOD_EVIDENCE, **content}
    suffixes = {"config": "yaml"}
    paths = {
        name: text if isinstance(text, Path) else desk.text(f"{name}.{suffixes.get(name, 'csv')}", text)
        for name, text in content.items()
    }
    answer = desk.run(**paths)
    assert answer.exit_code == 2, answer.output
    assert "Traceback" not in answer.output
    assert not desk.out.exists()
    for line in answer.output.splitlines():
        if line.startswith("error"):
            assert re.search("[\u4e00-\u9fff]", line), line
    return answer.output


def write(desk: Desk, query: str) -> None:
    with duckdb.connect() as con:
        con.execute(f"copy ({query}) to '{desk.file('identities')}'")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ({"identities": Path("no/such.csv")}, ["identities: there is no file no/such.csv"]),
        ({"identities": Path(__file__)}, ["identities: ", "must end in .parquet or .csv"]),
        ({"identities": "key,kind\na,lead\n"}, ["identities/first_seen_at: the column first_seen_at is missing"]),
        ({"evidence": ""}, [f"evidence/{name}: the column" for name in ("key", "value_type", "value")]),
        ({"identities": GOOD_IDENTITIES + "b,pet,\n"}, ["identities/kind: 1 row: kind must be one of", "2 (b): pet"]),
        ({"identities": GOOD_IDENTITIES + "b,,\n"}, ["identities/kind: 1 row: kind is empty", "row 2 (b)"]),
        ({"identities": GOOD_IDENTITIES + ",lead,\n"}, ["identities/key: 1 row: key is empty", "row 2 (–)"]),
        ({"identities": GOOD_IDENTITIES + "b,lead,soon\n"}, ["first_seen_at must be a timestamp", "row 2 (b): soon"]),
        ({"identities": GOOD_IDENTITIES + "b,lead,infinity\n"}, ["first_seen_at must be a timestamp"]),
        (
            {"identities": "key,kind,first_seen_at,birth_date,is_minor\na,lead,,2026-02-30,perhaps\n"},
            ["birth_date must be a date", "row 1 (a): 2026-02-30", "is_minor must be true or false"],
        ),
        (
            {"identities": GOOD_IDENTITIES + "b,lead,\na,lead,\n"},
            ["identities/key: 2 rows: the key repeats", "row 1 (a)", "row 3 (a)"],
        ),
        (
            {"evidence": GOOD_EVIDENCE + "ghost,phone,1\n,phone,1\n"},
            ["evidence/key: 2 rows: no identity has this key", "row 2 (ghost): phone", "row 3 (–): phone"],
        ),
        ({"evidence": GOOD_EVIDENCE + "a,,1\n"}, ["evidence/value_type: 1 row: value_type is empty", "row 2 (a)"]),
        (
            {"evidence": "key,value_type,value,tier,position\na,phone,1,6,\na,phone,1,1.5,-1\n"},
            ["tier must be a whole number from 0 to 5", "row 1 (a): 6", "row 2 (a): 1.5", "row 2 (a): -1"],
        ),
        ({"identities": GOOD_IDENTITIES + "b,lead\n"}, ["identities: cannot be read", "Error on Line: 3"]),
        ({"identities": "key,key,kind,first_seen_at\n"}, ["identities: cannot be read (columns repeat: key)"]),
        ({"config": "hub_person: 3\n"}, ["config/hub_person: there is no such key, only hub_persons, hub_unions"]),
        ({"config": "hub_records: many\nhub_unions: 0\n"}, ["config/hub_records: must", "config/hub_unions: must"]),
        ({"config": "- 1\n"}, ["config: must map names to numbers"]),
        ({"config": "a: [\n"}, ["is no YAML"]),
        ({"config": "a: 2026-13-41\n"}, ["is no YAML"]),
        ({"config": Path("no/such.yaml")}, ["the file no/such.yaml cannot be read"]),
        ({"overrides": "kind,a,b\nmarry,a,b\n"}, ["overrides/kind: 1 row: kind must be", "row 1 (marry a b): marry"]),
        ({"overrides": "kind,a,b,id\nmerge,a,,7\nblock,,,8\n"}, ["overrides/b: 1 row: b is", "row 1 (7)", "row 2 (8)"]),
        (
            {"overrides": "kind,a,b,id\nmerge,a,b,1\nmerge,b,c,2\nsplit,c,a,3\nsplit,d,d,4\n"},
            ["overrides: split 3 contradicts merge ['1', '2']; split 4 contradicts merge []"],
        ),
        (
            {
                "overrides": "kind,a,b,id,revoked_at\nowner,1,a,x,\nowner,1,b,x,\nblock,2,,y,\nblock,2,,y,\n"
                "block,3,,z,\nblock,3,,z,2026-01-01\nblock,4,,,\nblock,5,,,\n"
            },
            ["overrides/id: 4 rows: the id repeats with another content", "row 1 (x)", "row 2 (x)", "row 6 (z)"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_its_place(desk: Desk, content: dict[str, str | Path], lines: list[str]):
    told = refusal(desk, **content)

    assert [line for line in lines if line not in told] == []


def test_everything_that_can_be_known_is_told_at_once(desk: Desk):
    desk.text("in-the-way", "")
    desk.out = desk.folder / "in-the-way" / "out"

    told = refusal(
        desk,
        identities="key,kind,first_seen_at\na,pet,\na,lead,x\n",
        evidence="key,value_type,value,tier\na,phone,1,9\nghost,phone,1,\n",
        overrides="kind,a,b\nmerge,a,b\nsplit,a,b\n",
        config="hub: 1\n",
    )

    assert re.findall(r"^error (\S+):", told, re.MULTILINE) == [
        "config/hub", "out", "identities/kind", "identities/first_seen_at", "evidence/tier", "overrides",
        "identities/key", "evidence/key",
    ]  # fmt: skip


def test_of_many_rows_twenty_are_shown_and_the_rest_counted(desk: Desk):
    told = refusal(desk, identities="key,kind,first_seen_at\na,lead,\n" + "".join(f"k{n},pet,\n" for n in range(1_234)))

    assert "1234 rows: kind must be one of" in told
    assert told.count(": pet") == 20
    assert "… and 1,214 more / 另有 1,214 行" in told


def test_a_night_before_the_last_is_refused_beside_what_else_is_wrong(desk: Desk):
    desk.next(fan("fan"))
    desk.night = date(2020, 1, 1)
    before = {file.name: file.read_bytes() for file in desk.out.iterdir()}

    answer = desk.run(config=desk.text("c.yaml", "hub: 1\n"))

    assert answer.exit_code == 2
    assert "night: 2020-01-01 is earlier than the last night, 2026-11-01 / 2020-01-01 早于" in answer.output
    assert "config/hub" in answer.output
    assert {file.name: file.read_bytes() for file in desk.out.iterdir()} == before


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: b"junk" * 99, lambda whole: whole[:-20]])
def test_a_damaged_parquet_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]):
    desk = Desk(tmp_path)
    desk.write(fan("fan"))
    file = desk.file("identities")
    file.write_bytes(damage(file.read_bytes()))

    told = refusal(desk, identities=file, evidence=desk.file("evidence"))

    assert "identities: cannot be read" in told


def test_a_damaged_page_of_a_parquet_is_refused(tmp_path: Path):
    desk = Desk(tmp_path)
    write(desk, "select md5(n::varchar) as key, 'lead' as kind, now() as first_seen_at from range(9999) as many (n)")
    whole = bytearray(desk.file("identities").read_bytes())
    whole[40:4000] = bytes(3960)
    desk.file("identities").write_bytes(whole)

    told = refusal(desk, identities=desk.file("identities"))

    assert "identities: cannot be read" in told


def test_a_column_of_another_type_is_refused_unless_it_is_empty(tmp_path: Path):
    desk = Desk(tmp_path)
    write(
        desk,
        """
        select
            'a' as key, 'lead' as kind, 5 as first_seen_at, ['x'] as name, null as birth_date, 1.5 as id_number,
            null as is_minor
        """,
    )

    told = refusal(desk, identities=desk.file("identities"))

    assert re.findall(r"the column (\w+) is (\S+), expected is (.*) /", told) == [
        ("first_seen_at", "INTEGER", "a timestamp like 2026-11-20 08:30:00"),
        ("name", "VARCHAR[]", "text"),
        ("id_number", "DECIMAL(2,1)", "text"),
    ]


def test_a_text_that_is_not_utf8_is_refused(desk: Desk):
    file = desk.folder / "gb.csv"
    file.write_bytes(
        (GOOD_IDENTITIES + "b,lead,\n").replace("key", "key,name", 1).encode() + "王,芳,lead,\n".encode("gb18030")
    )

    assert "identities: cannot be read" in refusal(desk, identities=file)


def test_a_state_that_is_none_is_refused(desk: Desk):
    desk.state.mkdir()
    (desk.state / "state.duckdb").write_bytes(b"junk" * 9999)

    assert "state: " in refusal(desk)
    assert (desk.state / "state.duckdb").read_bytes() == b"junk" * 9999


def test_a_refused_run_leaves_no_state(desk: Desk):
    refusal(desk, config="hub: 1\n")

    assert not desk.state.exists()


def test_a_state_in_use_is_told_and_can_be_tried_again(desk: Desk):
    desk.next(fan("fan"))
    code = f"import duckdb; con = duckdb.connect({str(desk.state / 'state.duckdb')!r}); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    busy = desk.run()
    holder.communicate(b"\n")

    assert (busy.exit_code, desk.run().exit_code) == (1, 0)
    assert "in use by another run / 正被" in busy.output


def test_a_date_that_is_none_is_refused(desk: Desk):
    desk.write(lead("a"))

    answer = desk.run("--night", "2026-02-30")

    assert answer.exit_code == 2
    assert "is not a date like 2026-11-20" in answer.output
