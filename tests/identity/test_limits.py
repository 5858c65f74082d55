from datetime import date

from pipelines.identity.resolve import IdentityConfig
from tests.identity.factory import Fact, Nights, World, fan, lead, mini, patient, phone, wecom


def _conflicts(nights: Nights) -> list[tuple]:
    return nights.rows("""
        select value_type, value_masked, tier, left_key, right_key, reason from identity.conflict
    """)


def _three_of_one_account() -> World:
    """Fan, mini-program user and WeCom contact share a unionid; the phones of the last two lead to different files."""
    return World().plus(
        fan("fan", unionid="oUNION"),
        mini("mini", unionid="oUNION", phone=phone(1)),
        wecom("contact", unionid="oUNION", phone=phone(2)),
        patient("A", "王芳", phone=phone(1)),
        patient("B", "张伟", phone=phone(2)),
    )


def test_proven_phone_wins_over_a_remark_and_the_refused_link_is_listed():
    nights = Nights()

    summary = nights.next(_three_of_one_account())

    assert nights.together() == {frozenset({"A", "fan", "mini", "contact"}), frozenset({"B"})}
    assert summary.conflicts == 1
    assert _conflicts(nights) == [
        ("phone", "+86139****0002", 4, "wecom_contact:corp:contact", "patient:saas:B", "name")
    ]


def test_standing_conflict_keeps_the_night_it_began():
    nights = Nights()
    nights.next(_three_of_one_account())
    began = nights.night

    nights.next(_three_of_one_account().plus(lead("new")))

    assert nights.rows("select night from identity.conflict") == [(began,)]


def test_one_customer_never_holds_two_birth_dates():
    nights = Nights()

    nights.next(
        patient("one", "王芳", phone=phone(1), birth_date=date(1990, 1, 1)).plus(
            patient("two", "王芳", phone=phone(1), birth_date=date(1992, 2, 2)), fan("fan", phone=phone(1))
        )
    )

    assert nights.together() == {frozenset({"one", "fan"}), frozenset({"two"})}
    assert _conflicts(nights)[0][-1] == "birth_date"


def test_fourth_unionid_is_refused():
    nights = Nights()

    nights.next(World().plus(*(mini(f"m{n}", seen=n, unionid=f"o{n}", phone=phone(1)) for n in range(4))))

    assert nights.together() == {frozenset({"m0", "m1", "m2"}), frozenset({"m3"})}
    assert _conflicts(nights)[0][-1] == "unionids"


def test_customer_grows_to_its_limit_of_records_and_no_further():
    nights = Nights(config=IdentityConfig(customer_records=3))

    nights.next(World().plus(*(lead(f"l{n}", seen=n, phone=phone(1)) for n in range(5))))

    assert nights.together() == {frozenset({"l0", "l1", "l2"}), frozenset({"l3"}), frozenset({"l4"})}


def test_record_that_breaks_a_limit_alone_stands_alone():
    nights = Nights()
    crowd = lead("crowd").records[0].key
    unionids = World(facts=tuple(Fact(crowd, "unionid", f"o{n}", 2) for n in range(4)))

    nights.next(lead("crowd").plus(unionids, fan("one", seen=1, unionid="o1"), mini("two", seen=2, unionid="o1")))

    assert nights.together() == {frozenset({"crowd"}), frozenset({"one", "two"})}
    assert ("unionid", "****", 2, crowd, None, "unionids") in _conflicts(nights)


def test_binding_comes_before_unionid_before_phone():
    nights = Nights()
    a, b, c = patient("A", "王芳", phone=phone(1)), patient("B", "张伟"), mini("mini", phone=phone(1))
    key = b.records[0].key
    bound = World(facts=(Fact(key, "binding", key, 1), Fact(c.records[0].key, "binding", key, 1)))

    nights.next(a.plus(b, c, bound))

    assert nights.together() == {frozenset({"A"}), frozenset({"B", "mini"})}
