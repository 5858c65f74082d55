"""The chain's first night, with which every life of a data directory begins: who is in it, and what tells of them."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.ingest.contracts import load_contracts
from pipelines.nightly import run_night
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import open_current
from tests.conftest import FixedClock
from tests.erasure.world import ZONE, Someone, chain, is_refused_of, texts_of
from tests.parsed import LendParsed

# Rows of most first batches are kept as segments, those of the others in the tail.
SEGMENT_ROWS = 3
DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)
CANARY = Someone("canary", "13712340987")
REFUSED = Someone("refused", CANARY.phone, same_as="canary")
WALTER, ZOE = Someone("walter", "13800000001", referrer="canary-patient"), Someone("zoe", "13800000002")
GONE, KEPT = texts_of(CANARY, load_contracts().values())
# Of a refused row nothing is kept, whatever the table.
GONE |= set().union(*texts_of(REFUSED, filter(is_refused_of, load_contracts().values()))) - KEPT


def clock(day: date) -> FixedClock:
    return FixedClock(datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE) + timedelta(minutes=30))


def make_first_night(root: Path, lend_parsed: LendParsed) -> None:
    """Land the chain in a new data directory and run its first night."""
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", SEGMENT_ROWS)
        chain(settings, DAY, [CANARY, WALTER, ZOE], quarantined=REFUSED)
        run_night(settings, as_of=DAY, clock=clock(DAY))


def canarys_keys(settings: PipelineSettings) -> tuple[str, list[str]]:
    """The canary's one_id and identity keys."""
    with open_current(settings.folders, timezone="Asia/Shanghai")[0] as con:
        keys = con.execute(
            "select one_id, identity_key from marts.dim_identity where one_id ="
            " (select one_id from marts.dim_identity where identity_key = 'patient:saas:canary-patient')"
        ).fetchall()
    assert len(keys) == 5
    return keys[0][0], [key for _, key in keys]
