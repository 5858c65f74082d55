"""The templates that come with the product, on a published night: valid, without warnings, and they mean what they say.

Whom one selects is told a second time as SQL over the marts, in `second_telling.py`. The sample has 120 days: who has
been away for longer is looked for on later days, on which nobody has come since.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, timedelta

import pytest

from pipelines.settings import PipelineSettings
from segment_engine.compile import check
from segment_engine.lint import lint
from segment_engine.runtime.preview import preview
from segment_engine.runtime.version import asking_for
from segment_engine.templates import Template, all_templates
from tests.conftest import END_ON
from tests.segment_engine.asking_night import Night, open_night
from tests.segment_engine.templates.page import PAGE, page
from tests.segment_engine.templates.second_telling import SECOND_TELLING, SEGMENTS, TAGS

TEMPLATES = {one.key: one for one in all_templates().templates()}
SPRING, AUTUMN = END_ON + timedelta(days=120), END_ON + timedelta(days=300)
DAYS = (END_ON, SPRING, AUTUMN)
SEEN_ON = {"cleaning_due": SPRING, "sleeping_180_days": SPRING, "sleeping_1_year": AUTUMN}


@pytest.fixture(scope="module")
def nights(night: PipelineSettings) -> Iterator[Mapping[date, Night]]:
    with ExitStack() as stack:
        yield {day: stack.enter_context(open_night(night, day)) for day in DAYS}


def told_again(asked: Night, key: str) -> set[int]:
    query = SECOND_TELLING[key]
    values = {"day": asked.opened.as_of.date()} if "$day" in query else {}
    return {row[0] for row in asked.connection.execute(query, values).fetchall()}


def test_the_groups_of_the_products_help_are_there_in_its_order() -> None:
    assert [group.name_zh for group in all_templates().tag_groups] == [
        "沉睡线索", "预约未到店线索", "病历内容未成交客户", "初复诊未成交客户", "有后续治疗项目客户", "复诊商机开发",
        "客户满意度", "沉睡客户", "流失风险客户", "客户消费能力", "客户转介绍能力",
    ]  # fmt: skip


def test_spending_power_has_the_names_of_the_products_help() -> None:
    group = next(one for one in all_templates().tag_groups if one.name_zh == "客户消费能力")

    assert [tag.name_zh for tag in group.tags] == [
        "累计消费1000-10000元客户",
        "累计消费10000元及以上客户",
        "高频消费客户-近1年",
    ]


def test_the_segments_of_the_products_help_are_there() -> None:
    assert [one.name_zh for one in all_templates().segments] == [
        "初诊主诉未成交客户", "预约明日到店客户", "7天内卡券即将到期客户",
        "男性用户", "早矫活动打卡用户", "过去一周内有到店的初诊用户",
    ]  # fmt: skip


def test_every_template_is_told_a_second_time() -> None:
    library = all_templates()

    assert list(TAGS) == [tag.key for group in library.tag_groups for tag in group.tags]
    assert list(SEGMENTS) == [one.key for one in library.segments]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_valid_for_who_sees_no_personal_data_and_has_no_warning(
    nights: Mapping[date, Night], template: Template
) -> None:
    for asked in nights.values():
        tree = check(template.filter, asked.opened.catalog, asking_for(asked.opened, permissions=frozenset()))

        assert lint(tree, asked.opened.as_of) == []


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_selects_some_and_not_all(nights: Mapping[date, Night], template: Template) -> None:
    asked = nights[SEEN_ON.get(template.key, END_ON)]

    selected = asked.selected(asked.checked(template.filter))

    assert 0 < len(selected) < len(asked.opened.version.everyone)


@pytest.mark.parametrize("day", DAYS, ids=str)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_selects_whom_its_second_telling_selects(
    nights: Mapping[date, Night], template: Template, day: date
) -> None:
    asked = nights[day]
    tree = asked.checked(template.filter)

    found = preview(tree, asked.opened, asked.connection, audiences=asked.nobody, sample=10_000)

    assert set(found.sample) == asked.selected(tree) == told_again(asked, template.key)


def test_the_page_of_templates_is_current(nights: Mapping[date, Night]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(nights[END_ON])
