"""A night that runs again, is refused, or meets the state of an earlier program."""

import math
from datetime import timedelta

import pytest

from pipelines.identity.model import IdentityInputError, IdentityNightError
from pipelines.identity.resolve import IdentityConfig
from tests.identity.factory import Fact, Nights, Said, World, fan, lead, patient, phone

WAYS = pytest.mark.parametrize("part_at_most", [0, math.inf], ids=["whole", "part"])


def family() -> World:
    return patient("a", "张伟", phone=phone(1)).plus(
        fan("f", phone=phone(1), seen=1), lead("l", phone=phone(2), seen=2)
    )


@WAYS
def test_a_night_refused_when_it_runs_again_leaves_the_night_before_closed(part_at_most: float):
    nights = Nights(part_at_most=part_at_most)
    nights.next(family())
    nights.next(family().plus(lead("m", phone=phone(2), seen=3)))
    ids = dict(nights.rows("select key, customer_key from identity.assignment"))
    with pytest.raises(IdentityInputError):
        nights.again(family().plus(World(facts=(Fact("fan:ghost", "phone", "2"),))))

    nights.night -= timedelta(days=1)
    with pytest.raises(IdentityNightError):
        nights.again(family())
    nights.night += timedelta(days=1)
    nights.again(family().plus(lead("m", phone=phone(2), seen=3)))

    assert dict(nights.rows("select key, customer_key from identity.assignment")) == ids
    assert nights.rows("select count(*) from identity.event where event = 'LINKED'") == [(4,)]
    assert len(nights.rows("from identity.night")) == 2


@WAYS
def test_a_refused_night_and_the_next_one_leave_what_they_leave_without_it(part_at_most: float):
    rough, calm = Nights(part_at_most=part_at_most), Nights(part_at_most=part_at_most)
    for nights in (rough, calm):
        nights.next(family())
    rough.next(family().plus(lead("m", phone=phone(2), seen=3)))
    with pytest.raises(IdentityInputError):
        rough.again(World(facts=(Fact("fan:ghost", "phone", "2"),)))
    calm.night += timedelta(days=1)

    for nights in (rough, calm):
        nights.next(family().plus(lead("n", phone=phone(1), seen=4)))

    assert rough.tables() == calm.tables()


def test_a_unionid_taken_off_a_record_changes_what_its_phone_is_worth():
    world = World()
    for number in range(5):
        world = world.plus(fan(f"f{number}", unionid=f"o{number}", phone=phone(1)))
    told = world.saying(Said("d1", "detach", "official_account_fan:wx:f0", "o0"))
    whole, part = Nights(part_at_most=0), Nights(part_at_most=math.inf)
    for nights in (whole, part):
        nights.next(world)
        nights.next(told)

    assert part.tables() == whole.tables()
    # Four unionids make no hub; a customer holds three of them, and the record without one.
    assert sorted(len(customer) for customer in part.together()) == [1, 4]
    for nights in (whole, part):
        nights.next(world)
    assert part.tables() == whole.tables()
    assert {len(customer) for customer in part.together()} == {1}


OLD = """
    create table identity.link as select key_hash, value_hash, strength from identity.carried where accepted;
    create table identity.link_before as select key_hash, value_hash, strength from identity.carried_before where accepted;
    drop table identity.carried; drop table identity.carried_before; drop table identity.seen; drop table identity.seen_before;
    drop table identity.blocked_seen; drop table identity.blocked_seen_before;
    drop table identity.touched_customer; drop table identity.touched_record; drop table identity.touched_value;
    create table identity.night_old as
    select night, 'x' as fingerprint, way <> 'none' as replaced, summary from identity.night;
    drop table identity.night;
    alter table identity.night_old rename to night
"""  # noqa: E501


@pytest.mark.parametrize("repeats", [False, True], ids=["next", "again"])
def test_the_state_of_an_earlier_program_goes_on(repeats: bool):
    ours, theirs = Nights(config=IdentityConfig(), part_at_most=0), Nights(config=IdentityConfig(), part_at_most=0)
    worlds = [family(), family().plus(lead("m", phone=phone(2), seen=3)), family().without_facts(
        ("official_account_fan:wx:f", phone(1))
    )]  # fmt: skip
    for nights in (ours, theirs):
        nights.next(worlds[0])
        nights.next(worlds[1])
    theirs.con.execute(OLD)

    for nights in (ours, theirs):
        (nights.again if repeats else nights.next)(worlds[2])
        nights.next(worlds[1])
        nights.again(worlds[0])

    assert theirs.tables() == ours.tables()
    columns = "select column_name from duckdb_columns() where table_name = 'night' order by column_index"
    assert theirs.rows(columns) == ours.rows(columns)
    assert theirs.rows("select count(*) from duckdb_tables() where starts_with(table_name, 'link')") == [(0,)]


@WAYS
def test_an_id_given_out_in_the_morning_leads_to_whom_its_customer_is_by_noon(part_at_most: float):
    nights = Nights(part_at_most=part_at_most)
    nights.next(family())
    morning = family().plus(fan("new", seen=5, phone=phone(3)))
    nights.next(morning)
    early = nights.id_of("new")

    noon = morning.plus(fan("before", seen=4, phone=phone(3)))
    nights.again(noon)

    one_id = nights.id_of("new")
    assert one_id == nights.id_of("before") != early
    assert nights.rows(f"select status, merged_into, customer_key from identity.registry where one_id = '{early}'") == [
        ("merged", one_id, 2)
    ]
    assert nights.rows("select * exclude (night, seq) from identity.event where event = 'ID_MERGED'") == [
        ("ID_MERGED", None, early, one_id, "phone", "+86139****0003", "official_account_fan:wx:before", None)
    ]
    # A third run, a refused one and the next night know it still.
    nights.again(noon.plus(lead("x", phone=phone(9))))
    with pytest.raises(IdentityInputError):
        nights.again(World(facts=(Fact("fan:ghost", "phone", "2"),)))
    nights.next(noon)
    assert nights.rows(f"select merged_into from identity.registry where one_id = '{early}'") == [(one_id,)]
    # Apart again, the fan has the first id back.
    nights.next(morning.plus(fan("before", seen=4, phone=phone(8))))
    assert nights.id_of("new") == early
    assert nights.id_of("before") != early


@WAYS
def test_an_id_given_out_to_a_record_that_went_again_waits_for_it(part_at_most: float):
    nights = Nights(part_at_most=part_at_most)
    nights.next(family())
    nights.next(family().plus(fan("new", seen=5)))
    early = nights.id_of("new")
    assert nights.again(family()).events == {}
    nights.next(family().plus(lead("other", seen=9)))

    nights.next(family().plus(fan("new", seen=5, phone=phone(2))))

    assert nights.rows(f"select status, merged_into from identity.registry where one_id = '{early}'") == [
        ("merged", nights.id_of("new"))
    ]
    assert nights.rows("from identity.handed_out") == []


@WAYS
def test_a_customer_key_of_the_morning_means_nobody_else_by_noon(part_at_most: float):
    nights = Nights(part_at_most=part_at_most)
    nights.next(family())
    morning = family().plus(fan("x", seen=5, phone=phone(3)), fan("y", seen=6, phone=phone(4)))
    nights.next(morning)
    early = key_of_founders(nights)

    # The first of the two is somebody known by noon, and somebody else has come.
    nights.again(family().plus(fan("x", seen=5, phone=phone(1)), fan("y", seen=6, phone=phone(4)), lead("z", seen=7)))
    noon = key_of_founders(nights)
    nights.again(morning)
    evening = key_of_founders(nights)
    nights.next(morning.plus(lead("z", seen=7)))

    assert noon.items() >= early.items()
    assert evening == noon
    assert key_of_founders(nights).items() >= {of: key for of, key in noon.items() if of[0] != "lead:leads:z"}.items()
    keys = [key for (key,) in nights.rows("select customer_key from identity.registry")]
    assert len(keys) == len(set(keys))


@WAYS
def test_an_id_that_comes_back_nights_later_has_its_key_and_keeps_it_when_that_night_runs_again(part_at_most: float):
    nights = Nights(part_at_most=part_at_most)
    nights.next(family())
    nights.next(family().plus(fan("x", seen=5)))
    early = key_of_founders(nights)
    nights.again(family())
    nights.next(family().plus(lead("other", seen=9), lead("another", seen=9)))

    for number, night in enumerate((nights.next, nights.again, nights.again)):
        others = [lead(name, seen=9) for name in ("other", "another", f"newest {number}")]
        night(family().plus(fan("x", seen=5), *others))

        assert key_of_founders(nights).items() >= early.items()


def key_of_founders(nights: Nights) -> dict[tuple[str, int], int]:
    """The key of every id that anybody was ever given, by founder and generation."""
    rows = nights.rows(
        "select founder_key, generation, customer_key from identity.registry"
        " union select founder_key, generation, customer_key from identity.handed_out"
    )
    return {(founder, generation): key for founder, generation, key in rows}


def test_ids_handed_out_by_an_earlier_program_get_keys_that_nobody_has():
    nights = Nights(part_at_most=0)
    nights.next(family())
    nights.next(family().plus(fan("x", seen=5), fan("y", seen=6)))
    nights.again(family().plus(fan("y", seen=6)))
    nights.con.execute("alter table identity.handed_out drop column customer_key")

    nights.next(family().plus(fan("y", seen=6), lead("other", seen=9)))

    keys = key_of_founders(nights)
    assert len(keys) == len(set(keys.values())) == 5
