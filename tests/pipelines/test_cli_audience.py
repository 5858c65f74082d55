"""`cdp audience`: previews, explanations and sentences of filters from files, and what is refused."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.pipelines.conftest import of
from tests.segment_engine.asking_night import all_of, any_of, did, did_not, is_, measured, open_night

WOMEN_WITH_VISITS = all_of(
    is_("gender", "eq", "女"), did("visit", having=[measured("count", "gte", 1)]), is_("name", "is_set")
)


@pytest.fixture
def filter_file(tmp_path: Path) -> Path:
    file = tmp_path / "filter.json"
    file.write_text(json.dumps(WOMEN_WITH_VISITS, ensure_ascii=False), encoding="utf-8")
    return file


def ask(runner: CliRunner, night: PipelineSettings, *words: Any, stdin: bytes | None = None) -> Any:
    return runner.invoke(app, ["audience", *map(str, words)], env=of(night), input=stdin)


def count_in_sql(night: PipelineSettings) -> int:
    with open_night(night) as asked:
        return len(asked.selected(asked.checked(WOMEN_WITH_VISITS)))


def somebody(night: PipelineSettings) -> str:
    query = "select min(one_id) from marts.dim_customer semi join marts.fct_visit using (customer_key)"
    with open_night(night) as asked:
        ((one_id,),) = asked.connection.execute(query).fetchall()
    return str(one_id)


@pytest.mark.parametrize("command", ["preview", "explain", "describe"])
def test_every_command_explains_itself_in_both_languages(runner: CliRunner, command: str) -> None:
    answer = runner.invoke(app, ["audience", command, "--help"])

    assert answer.exit_code == 0
    assert any("\u4e00" <= character <= "\u9fff" for character in answer.output)


def test_a_preview_tells_count_funnel_and_customers(
    runner: CliRunner, night: PipelineSettings, filter_file: Path
) -> None:
    text = ask(runner, night, "preview", filter_file)
    told = ask(runner, night, "preview", filter_file, "--format", "json")

    found = json.loads(told.stdout)
    assert found["count"] == count_in_sql(night)
    assert [branch["path"] for branch in found["branches"]] == ["/rules/0", "/rules/1", "/rules/2"]
    assert len(found["sample"]) == 20
    assert f"{found['count']:,} of {found['customers']:,} customers on 2026-11-20" in text.stdout
    assert "/rules/0  性别 等于 女 / Gender is 女" in text.stdout


def test_a_filter_comes_from_stdin_too(runner: CliRunner, night: PipelineSettings) -> None:
    filter_bytes = json.dumps(WOMEN_WITH_VISITS).encode()

    answer = ask(runner, night, "preview", "-", "--format", "json", stdin=filter_bytes)

    assert json.loads(answer.stdout)["count"] == count_in_sql(night)


def test_plan_and_sql_are_shown_on_demand(runner: CliRunner, night: PipelineSettings, filter_file: Path) -> None:
    text = ask(runner, night, "preview", filter_file, "--explain-plan", "--sql").stdout
    told = json.loads(ask(runner, night, "preview", filter_file, "--sql", "--format", "json").stdout)

    assert "visit  " in text
    assert "marts.fct_visit" in text
    assert "FROM marts.dim_customer AS customer" in text
    assert "-- $p1 = '女'" in text
    assert "女" in told["sql"]["values"].values()


def test_an_earlier_day_is_asked_about(runner: CliRunner, night: PipelineSettings, tmp_path: Path) -> None:
    file = tmp_path / "visits.json"
    file.write_text(json.dumps(all_of(did("visit"))), encoding="utf-8")

    now, then = (
        json.loads(ask(runner, night, "preview", file, "--format", "json", *words).stdout)
        for words in ([], ["--as-of", "2026-09-15"])
    )

    assert then["as_of"] == "2026-09-15"
    assert 0 < then["count"] < now["count"]
    assert then["customers"] < now["customers"]


def test_an_explanation_says_yes_or_no_and_masks_names(
    runner: CliRunner, night: PipelineSettings, filter_file: Path
) -> None:
    one_id = somebody(night)

    text = ask(runner, night, "explain", filter_file, one_id).stdout
    found = json.loads(ask(runner, night, "explain", filter_file, one_id, "--format", "json").stdout)

    gender, visits, name = found["root"]["parts"]
    assert found["one_id"] == one_id
    assert found["holds"] == all(part["holds"] for part in (gender, visits, name))
    assert visits["measures"][0]["value"] == visits["rows"] > 0
    assert (name["observed"][0]["value"], name["observed"][0]["is_hidden"]) == (None, True)
    assert f"{one_id} on 2026-11-20: {'yes / 属于' if found['holds'] else 'no / 不属于'}" in text
    assert "姓名 name = ***" in text
    assert "- 就诊: " in text


def test_a_description_is_a_sentence_in_each_language_with_its_warnings(
    runner: CliRunner, night: PipelineSettings, tmp_path: Path
) -> None:
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(any_of(did("visit"), did_not("visit"))), encoding="utf-8")

    lines = ask(runner, night, "describe", file).stdout.splitlines()
    told = json.loads(ask(runner, night, "describe", file, "--format", "json").stdout)

    assert lines == [
        "有过 就诊 或 没有 就诊",
        "has at least one Visit or has no Visit",
        "warning always_everyone /: This filter selects everybody. / 该筛选会选出全部客户",
    ]
    assert (told["zh"], [warning["code"] for warning in told["warnings"]]) == (lines[0], ["always_everyone"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"combinator": "and", "rules": [], "rules": []}', ["duplicate_key /: A key occurs twice", "重复的字段名"]),
        (b'{"combinator": "and", "rules": [NaN]}', ["not_a_finite_number /rules/0: ", "不允许 NaN"]),
        (b"", ["empty_file /: The file is empty. / 文件为空"]),
        (b'{"combinator": "and", "rules": []}', ["empty_list /rules: "]),
        (
            json.dumps(all_of(is_("nope", "is_set"), {"kind": "tag", "operator": "in", "tag_ids": [4]})).encode(),
            ["unknown_field /rules/0/field: ", "unknown_tag /rules/1/tag_ids: There is no tag 4. / 标签 4 不存在"],
        ),
    ],
    ids=["duplicate key", "NaN", "empty file", "no rules", "unknown names"],
)
def test_everything_wrong_with_a_filter_is_told_a_line_each(
    runner: CliRunner, night: PipelineSettings, tmp_path: Path, content: bytes, told: list[str]
) -> None:
    file = tmp_path / "wrong.json"
    file.write_bytes(content)

    answers = [ask(runner, night, *words) for words in (["preview", file], ["describe", file], ["explain", file, "C1"])]
    problems = json.loads(ask(runner, night, "preview", file, "--format", "json").stdout)["problems"]

    for answer in answers:
        assert answer.exit_code == 2
        assert all(words in answer.stderr for words in told)
        assert len(answer.stderr.splitlines()) == len(problems)


def test_nothing_published_ends_as_sql_does(
    runner: CliRunner, empty_settings: PipelineSettings, filter_file: Path
) -> None:
    answer = ask(runner, empty_settings, "preview", filter_file)

    assert answer.exit_code == 3
    assert "尚无已发布的数据" in answer.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["preview", "missing.json"], 2, "unreadable /: missing.json cannot be read"),
        (["explain", "FILTER", "C0"], 1, "there is no customer C0 / 没有客户 C0"),
        (["preview", "FILTER", "--as-of", "2027-01-01"], 2, "晚于已发布的最新业务日 2026-11-20"),
        (["preview", "FILTER", "--as-of", "soon"], 2, "2026-11-20"),
        (["preview", "FILTER", "--as-of", "2026-09-01"], 2, "before_history /rules/0/field: "),
        (["preview", "FILTER", "--budget", "0"], 2, "0.01"),
    ],
    ids=["unreadable", "unknown customer", "future", "no day", "before history", "no time"],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(
    runner: CliRunner, night: PipelineSettings, filter_file: Path, words: list[str], code: int, told: str
) -> None:
    answer = ask(runner, night, *(str(filter_file) if word == "FILTER" else word for word in words))

    assert answer.exit_code == code
    assert told in answer.stderr
    assert answer.stdout == ""


def test_somebody_who_came_later_is_no_customer_of_an_earlier_day(
    runner: CliRunner, night: PipelineSettings, tmp_path: Path
) -> None:
    file = tmp_path / "visits.json"
    file.write_text(json.dumps(all_of(did("visit"))), encoding="utf-8")
    with open_night(night) as asked:
        query = "select one_id, created_at::date from marts.dim_customer order by created_at desc limit 1"
        ((one_id, came_on),) = asked.connection.execute(query).fetchall()

    answer = ask(runner, night, "explain", file, one_id, "--as-of", came_on - timedelta(days=1))

    assert answer.exit_code == 1
    assert "not_a_customer_then /: " in answer.stderr


def test_a_catalogue_that_cannot_be_read_is_named(
    runner: CliRunner, own_copy: PipelineSettings, filter_file: Path
) -> None:
    file = own_copy.folders.published / read_pointer(own_copy.folders).catalog_file
    file.write_text("{}", encoding="utf-8")

    answer = ask(runner, own_copy, "describe", filter_file)

    assert answer.exit_code == 1
    assert f"{file} cannot be read" in answer.stderr
    assert "cdp nightly --force" in answer.stderr
