"""A dry run of operator rows tells what the next night would log, and leaves no trace."""

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from pipelines.identity.model import IdentityNightError, IdentityOverrideError
from pipelines.identity.overrides import Override
from pipelines.identity.preview import Difference, Event, LastNight, Refused, preview
from pipelines.identity.resolve import IdentityConfig
from tests.identity.factory import Nights, Said, World, day, fan, patient, phone
from tests.identity.test_properties import CONFIG, SEEDS, said_rows, worlds_of_nights

LAST = LastNight("warehouse.identity", "warehouse.identities", "warehouse.evidence", "warehouse.blocked")


def previewed(
    file: Path, nights: Nights, standing: Sequence[Said], proposed: Sequence[Said], config: IdentityConfig
) -> Difference:
    """What the dry run says about the night after the last, beside the file."""
    with duckdb.connect() as con:
        con.execute(f"set TimeZone = 'Asia/Shanghai'; attach '{file}' as warehouse (read_only)")
        rows = [[Override(said.id, said.kind, said.a, said.b or "") for said in one] for one in (standing, proposed)]
        return preview(con, LAST, night=nights.night + DAY, config=config, standing=rows[0], proposed=rows[1])


DAY = day(1) - day(0)


def a_night_later(file: Path, nights: Nights, world: World, config: IdentityConfig) -> tuple[list, Counter]:
    """The events that the next night really logs over `world`, and the conflicts it leaves."""
    copy = file.with_suffix(".copy")
    shutil.copyfile(file, copy)
    with duckdb.connect(str(copy)) as con:
        later = Nights(con, config, part_at_most=0, night=nights.night)
        later.next(world)
        events = later.rows(f"""
            select {", ".join(Event._fields)} from identity.event where night = '{later.night}' order by seq
        """)
        conflicts = later.rows(f"select {', '.join(Refused._fields)} from identity.conflict")
    copy.unlink()
    return [Event(*row) for row in events], Counter(Refused(*row) for row in conflicts)


def lived(file: Path, worlds: Sequence[World], config: IdentityConfig) -> Nights:
    """Nights over the worlds, left behind in `file`."""
    with duckdb.connect(str(file)) as con:
        nights = Nights(con, config)
        for world in worlds:
            nights.next(world)
    return nights


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", range(300, 300 + SEEDS))
def test_what_is_previewed_is_what_the_next_night_logs(seed: int, tmp_path: Path):
    rng = random.Random(seed)
    *worlds, world = worlds_of_nights(seed, nights=3)
    keys = sorted(record.key for record in world.records)
    world = world.saying(*said_rows(rng, keys))
    file = tmp_path / "warehouse.duckdb"
    nights = lived(file, [*worlds, world], CONFIG)
    before = digest(file)
    told = 0
    while not told:
        # Some rows were revoked since the night; of those that stand some shall be revoked, and further ones be made.
        standing = [said for said in world.said if rng.random() < 0.8]
        new = [replace(said, id=f"new-{said.id}") for said in rng.sample(said_rows(rng, keys), 5)]
        proposed = [*(said for said in standing if rng.random() < 0.8), *new]

        found = previewed(file, nights, standing, proposed, CONFIG)

        (events, conflicts), (events_then, conflicts_then) = (
            a_night_later(file, nights, world.saying(*said), CONFIG) for said in (standing, proposed)
        )
        assert found.events == [event for event in events_then if event not in events]
        assert found.events_gone == [event for event in events if event not in events_then]
        assert Counter(found.conflicts) == conflicts_then - conflicts
        assert Counter(found.conflicts_gone) == conflicts - conflicts_then
        told += len(found.events)
    assert digest(file) == before


TWO = patient("A", "张伟").plus(patient("B", "张伟", seen=1), fan("F", seen=2, phone=phone(1)))
MERGE = Said("m", "merge", "patient:saas:A", "patient:saas:B")


def test_a_merge_is_told_with_its_ids_and_its_row(tmp_path: Path):
    file = tmp_path / "warehouse.duckdb"
    nights = lived(file, [TWO], IdentityConfig())
    with duckdb.connect(str(file), read_only=True) as con:
        ids = dict(con.execute("select key, one_id from identity.assignment").fetchall())
    a, b = ids[MERGE.a], ids[str(MERGE.b)]

    found = previewed(file, nights, [], [MERGE], IdentityConfig())

    assert [(one.event, one.key, one.from_id, one.to_id, one.override_id) for one in found.events] == [
        ("MOVED", MERGE.b, b, a, "m"),
        ("ID_MERGED", None, b, a, "m"),
    ]
    assert found == Difference(found.events, [], [], [])


def test_what_was_decided_since_the_night_is_not_told_again(tmp_path: Path):
    file = tmp_path / "warehouse.duckdb"
    nights = lived(file, [TWO], IdentityConfig())

    assert previewed(file, nights, [MERGE], [MERGE], IdentityConfig()) == Difference([], [], [], [])
    revoked = previewed(file, nights, [MERGE], [], IdentityConfig())
    assert ([one.event for one in revoked.events_gone], revoked.events) == (["MOVED", "ID_MERGED"], [])


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path):
    file = tmp_path / "warehouse.duckdb"
    nights = lived(file, [TWO], IdentityConfig())

    with pytest.raises(IdentityOverrideError, match="split_inside_merge"):
        previewed(file, nights, [], [MERGE, replace(MERGE, id="s", kind="split")], IdentityConfig())


def test_other_thresholds_than_the_last_nights_need_a_night_first(tmp_path: Path):
    file = tmp_path / "warehouse.duckdb"
    nights = lived(file, [TWO], IdentityConfig())

    with pytest.raises(IdentityNightError, match="night_needed"):
        previewed(file, nights, [], [MERGE], IdentityConfig(hub_records=9))
