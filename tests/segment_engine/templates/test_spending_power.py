"""客户消费能力 exactly at its borders, which the product's help gives (seed 003 §5.2.4), on every engine."""

import json
from collections.abc import Sequence

import pytest

from segment_engine.cases.compiled import ENGINES
from segment_engine.cases.run import run_text
from segment_engine.templates import all_templates

FILTERS = {one.key: one.filter for one in all_templates().templates()}

WORLD = """
world:
  zone: Asia/Shanghai
  attributes: {gender: option}
  sources:
    bill: {time: billed_at, fields: {billed_at: datetime, status: option}}
    bill_item: {time: billed_at, fields: {billed_at: datetime, bill_type: option, paid_fen: money}}
  customers: [{id: 1}, {id: 2}, {id: 3}, {id: 4}, {id: 5}, {id: 6}, {id: 7}, {id: 8}]
  rows:
    bill_item:
      - {customer: 1, billed_at: "2020-01-01T10:00:00+08:00", bill_type: 项目, paid_fen: 999.99}
      - {customer: 2, billed_at: "2020-01-01T10:00:00+08:00", bill_type: 项目, paid_fen: 400}
      - {customer: 2, billed_at: "2026-01-01T10:00:00+08:00", bill_type: 商品, paid_fen: 600}
      - {customer: 3, billed_at: "2026-01-01T10:00:00+08:00", bill_type: 项目, paid_fen: 9999.99}
      - {customer: 4, billed_at: "2026-01-01T10:00:00+08:00", bill_type: 卡项, paid_fen: 10000}
      # 储值 is spent when it pays for something: not this top-up counts, but what it paid for.
      - {customer: 5, billed_at: "2026-01-01T10:00:00+08:00", bill_type: 充值, paid_fen: 10000}
      - {customer: 5, billed_at: "2026-01-02T10:00:00+08:00", bill_type: 项目, paid_fen: 1000}
      - {customer: 6, billed_at: "2026-01-01T10:00:00+08:00", paid_fen: 1000}
      - {customer: 7, billed_at: "2026-01-01T10:00:00+08:00", bill_type: 充值, paid_fen: 5000}
    bill:                                          # the year is 1 February 2025 to 31 January 2026: 365 days
      - {customer: 1, billed_at: "2025-08-01T10:00:00+08:00", status: 已收费}
      - {customer: 1, billed_at: "2026-01-31T23:59:59+08:00", status: 已收费}
      - {customer: 2, billed_at: "2025-02-01T00:00:00+08:00", status: 已收费}
      - {customer: 2, billed_at: "2025-08-01T10:00:00+08:00", status: 未收费}
      - {customer: 2, billed_at: "2026-01-31T23:59:59+08:00", status: 部分收费}
      - {customer: 3, billed_at: "2025-01-31T23:59:59+08:00", status: 已收费}
      - {customer: 3, billed_at: "2025-08-01T10:00:00+08:00", status: 已收费}
      - {customer: 3, billed_at: "2026-01-30T10:00:00+08:00", status: 已收费}
      - {customer: 4, billed_at: "2025-03-01T10:00:00+08:00", status: 已收费}
      - {customer: 4, billed_at: "2025-04-01T10:00:00+08:00", status: 已作废}
      - {customer: 4, billed_at: "2025-05-01T10:00:00+08:00", status: 已收费}
      - {customer: 5, billed_at: "2025-03-01T10:00:00+08:00"}
      - {customer: 5, billed_at: "2025-04-01T10:00:00+08:00", status: 已退费}
      - {customer: 5, billed_at: "2025-05-01T10:00:00+08:00", status: 已收费}
"""


@pytest.mark.parametrize(
    ("key", "selects"),
    [
        ("spent_1000_to_10000", [2, 3, 5, 6]),
        ("spent_10000_and_more", [4]),
        ("billed_often_1_year", [2, 5]),
    ],
    ids=["from 1000, below 10000", "from 10000", "three bills in 365 days"],
)
def test_a_tag_of_spending_power_is_exact_at_its_borders(key: str, selects: Sequence[int]) -> None:
    case = {"name": key, "as_of": "2026-01-31T23:59:59+08:00", "filter": FILTERS[key], "expect": selects}

    outcomes = run_text(f"{WORLD}cases: [{json.dumps(case, ensure_ascii=False)}]", ENGINES)

    assert len(outcomes) == len(ENGINES)
    assert [outcome.line() for outcome in outcomes if not outcome.ok] == []
