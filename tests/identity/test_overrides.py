"""Operator rows: what they do, how they are explained, and that revoking one restores what was."""

from datetime import UTC, date, datetime

import pytest

from pipelines.identity.resolve import IdentityConfig, IdentityOverrideError
from tests.identity.factory import Nights, Said, World, fan, lead, mini, patient, phone, wecom

A, B = "patient:saas:A", "patient:saas:B"


def _files() -> World:
    return patient("A", "王芳", phone=phone(1)).plus(patient("B", "王方", phone=phone(2)), fan("fan", phone=phone(2)))


def _causes(nights: Nights) -> set[tuple]:
    return set(
        nights.rows(f"""
            select event, cause_value_type, override_id from identity.event where night = '{nights.night}'
        """)
    )


def test_merge_joins_two_files_in_spite_of_their_names():
    nights = Nights()
    nights.next(_files())

    nights.next(_files().saying(Said("m1", "merge", A, B)))

    assert nights.together() == {frozenset({"A", "B", "fan"})}
    assert _causes(nights) == {("MOVED", None, "m1"), ("ID_MERGED", None, "m1")}
    assert nights.rows(f"select reason_value_type, reason_via_key from identity.assignment where key = '{B}'") == [
        ("merge", A)
    ]


def test_revoking_a_merge_restores_customers_and_ids():
    nights = Nights()
    nights.next(_files())
    before = nights.ids()
    nights.next(_files().saying(Said("m1", "merge", A, B)))

    nights.next(_files())

    assert nights.ids() == before
    assert {cause[2] for cause in _causes(nights)} == {"m1"}


def _tied(*files: World) -> World:
    """The files, B with phone 2 and C with phone 3, and a fan and a mini-program user of one account who tie those."""
    return World().plus(*files, fan("F", unionid="o", phone=phone(2)), mini("M", unionid="o", phone=phone(3)))


@pytest.mark.parametrize(
    "files",
    [
        (
            patient("A"),
            patient("B", "王芳", phone=phone(2), birth_date=date(1990, 1, 1)),
            patient("C", "张伟", phone=phone(3), birth_date=date(1970, 1, 1)),
        ),
        (
            patient("A", "王芳"),
            patient("B", "王芳", phone=phone(2), birth_date=date(1990, 1, 1)),
            patient("C", "王芳", phone=phone(3), birth_date=date(1970, 1, 1)),
        ),
        (
            patient("A", "王芳"),
            patient("B", phone=phone(2), id_number="1"),
            patient("C", "王芳", phone=phone(3), id_number="2"),
        ),
        (patient("A", "王芳"), patient("B", "张伟", phone=phone(2)), patient("C", "张伟", phone=phone(3))),
    ],
    ids=["first has no name", "first has no birth date", "first has no id number", "third has the other's name"],
)
def test_merged_files_bring_no_third_party(files: tuple[World, ...]):
    nights = Nights()

    nights.next(_tied(*files).saying(Said("m1", "merge", A, B)))

    assert nights.together() == {frozenset({"A", "B", "F", "M"}), frozenset({"C"})}
    assert len(nights.rows("from identity.conflict")) == 1


def test_two_merged_groups_keep_apart_what_each_says():
    nights = Nights()
    first = patient("A").plus(patient("B", "王芳", phone=phone(2)))
    second = patient("C", phone=phone(3)).plus(patient("D", "张伟"))

    nights.next(_tied(first, second).saying(Said("m1", "merge", A, B), Said("m2", "merge", *_keys(second))))

    assert nights.together() == {frozenset({"A", "B", "F", "M"}), frozenset({"C", "D"})}


def test_unionids_of_merged_records_count_as_those_of_others():
    nights = Nights()
    fans = (fan(f"f{n}", seen=n, unionid=f"o{n}", phone=phone(n % 3)) for n in range(5))
    world = patient("P", phone=phone(2)).plus(*fans)
    p, f0, f1, *_ = _keys(world)

    nights.next(world.saying(Said("m1", "merge", p, f0), Said("m2", "merge", p, f1)))

    assert nights.together() == {frozenset({"P", "f0", "f1", "f2"}), frozenset({"f3"}), frozenset({"f4"})}
    assert nights.rows("select distinct reason from identity.conflict") == [("unionids",)]


def test_merged_records_count_towards_the_limit_of_records():
    nights = Nights(config=IdentityConfig(customer_records=3))
    leads = World().plus(*(lead(f"l{n}", seen=n, phone=phone(1)) for n in range(5)))
    l0, l1, *_ = _keys(leads)

    nights.next(leads.saying(Said("m1", "merge", l0, l1)))

    assert nights.together() == {frozenset({"l0", "l1", "l2"}), frozenset({"l3"}), frozenset({"l4"})}


def test_operator_may_merge_past_a_limit_and_only_who_adds_to_the_breach_is_refused():
    nights = Nights()
    fans = World().plus(*(fan(f"f{n}", seen=n, unionid=f"o{n}", phone=phone(n)) for n in range(4)))
    keys = _keys(fans)
    others = World().plus(
        lead("known", phone=phone(0)),
        mini("same", unionid="o1"),
        mini("fifth", unionid="o9", phone=phone(0)),
        mini("sixth", unionid="o8", phone=phone(2)),
    )

    nights.next(fans.plus(others).saying(*(Said(f"m{n}", "merge", keys[0], keys[n]) for n in range(1, 4))))

    assert nights.together() == {
        frozenset({"f0", "f1", "f2", "f3", "known", "same"}), frozenset({"fifth"}), frozenset({"sixth"})
    }  # fmt: skip
    assert nights.rows("select reason, count(*) from identity.conflict group by all") == [("unionids", 2)]


def test_operator_may_merge_more_records_than_the_limit():
    nights = Nights(config=IdentityConfig(customer_records=2))
    leads = World().plus(*(lead(f"l{n}", seen=n, phone=phone(1)) for n in range(4)))
    l0, l1, l2, _ = _keys(leads)

    nights.next(leads.saying(Said("m1", "merge", l0, l1), Said("m2", "merge", l1, l2)))

    assert nights.together() == {frozenset({"l0", "l1", "l2"}), frozenset({"l3"})}
    assert nights.rows("select reason from identity.conflict") == [("records",)]


def _keys(world: World) -> list[str]:
    return [record.key for record in world.records]


def test_split_keeps_two_records_apart():
    nights = Nights()
    nights.next(_files())

    nights.next(_files().saying(Said("s1", "split", B, "official_account_fan:wx:fan")))

    assert nights.together() == {frozenset({"A"}), frozenset({"B"}), frozenset({"fan"})}
    assert nights.rows("select reason from identity.conflict") == [("split:s1",)]
    assert {cause[2] for cause in _causes(nights)} == {"s1"}


def test_detached_value_is_no_longer_evidence():
    nights = Nights()
    nights.next(_files())

    nights.next(_files().saying(Said("d1", "detach", "official_account_fan:wx:fan", phone(2))))

    assert nights.together() == {frozenset({"A"}), frozenset({"B"}), frozenset({"fan"})}
    assert ("MOVED", "phone", "d1") in _causes(nights)


def test_blocked_value_joins_nobody():
    nights = Nights()
    nights.next(_files())

    nights.next(_files().saying(Said("b1", "block", phone(2))))

    assert len(nights.together()) == 3
    assert ("MOVED", "phone", "b1") in _causes(nights)


def test_allowed_hub_joins_again():
    nights = Nights()
    leads = World().plus(*(lead(f"l{n}", phone=phone(9)) for n in range(41)))
    nights.next(leads)
    assert len(nights.together()) == 41

    nights.next(leads.saying(Said("a1", "allow", phone(9))))

    assert len(nights.together()) == 1
    assert ("ID_MERGED", "phone", "a1") in _causes(nights)


def test_owner_decides_a_contested_phone():
    nights = Nights()
    world = patient("A", "王芳", phone=phone(1)).plus(patient("B", "张伟", phone=phone(1)), fan("fan", phone=phone(1)))
    nights.next(world)
    assert len(nights.together()) == 3

    nights.next(world.saying(Said("o1", "owner", phone(1), B)))

    assert nights.together() == {frozenset({"A"}), frozenset({"B", "fan"})}
    assert nights.rows("select state, owner_key from identity.value_state") == [("family", B)]
    assert {cause[2] for cause in _causes(nights)} == {"o1"}


def test_rows_count_from_their_day_until_revoked():
    nights = Nights()  # nights are days of November 2026
    row = Said("m1", "merge", A, B, datetime(2026, 11, 2, 1, tzinfo=UTC), datetime(2026, 11, 3, 1, tzinfo=UTC))

    sizes = []
    for _ in range(3):
        nights.next(_files().saying(row))
        sizes.append(len(nights.together()))

    assert sizes == [2, 1, 2]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((Said("m1", "merge", A, B), Said("m2", "merge", B, "C"), Said("s1", "split", "C", A)), "split_inside_merge"),
        ((Said("x1", "marry", A, B),), "unknown_override"),
    ],
)
def test_rows_that_contradict_are_refused_by_name(said: tuple[Said, ...], code: str):
    nights = Nights()

    with pytest.raises(IdentityOverrideError) as refusal:
        nights.next(_files().saying(*said))

    assert refusal.value.code == code
    assert set(refusal.value.override_ids) == {row.id for row in said}


def test_merge_holds_through_a_record_that_is_gone():
    nights = Nights()
    world = _files().plus(wecom("contact"), mini("mini"))
    ends = ("wecom_contact:corp:contact", "mini_program_user:wx:mini")
    said = (Said("m1", "merge", ends[0], A), Said("m2", "merge", A, ends[1]))

    nights.next(world.without(A).saying(*said))

    assert frozenset({"contact", "mini"}) in nights.together()
