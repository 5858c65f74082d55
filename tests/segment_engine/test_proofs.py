"""Random filters mean one thing on every engine, and hostile documents are refused: a few hundred of each.

`python -m tests.segment_engine.prove` tries 20,000.
"""

import pytest

from tests.segment_engine.prove import percentile, try_engines, try_hostile, try_texts


@pytest.mark.parametrize("seed", range(40_000, 40_002))
def test_random_filters_select_the_same_customers_on_every_engine(seed: int) -> None:
    tally = try_engines(100, first_seed=seed)

    assert tally.faults == []
    assert tally.counts["compiled together"] == tally.counts["compiled alone"] == 100
    assert tally.counts["selecting some, not all"] > 50


def test_sql_is_made_of_the_catalogue_and_placeholders_in_both_dialects() -> None:
    tally = try_texts(100, first_seed=50_001)

    assert tally.faults == []
    assert tally.counts["statements of spark"] == tally.counts["statements of duckdb"] == 100


def test_hostile_documents_are_refused_with_code_and_place_and_never_crash() -> None:
    tally, seconds = try_hostile(1_500, first_seed=60_000)

    assert tally.faults == []
    assert tally.counts["refused"] > 700
    assert tally.counts["read"] > 50
    assert percentile(seconds, 0.5) > 0
