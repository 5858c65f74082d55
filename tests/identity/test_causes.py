"""Why a record moved: the link that came or went, by value and by the record on its other side."""

from tests.identity.factory import Nights, Said, fan, lead, mini, patient, phone

FILE = "patient:saas:file"


def _why(nights: Nights, event: str) -> list[tuple]:
    return nights.rows(f"""
        select split_part(key, ':', 3), cause_value_type, cause_value_masked, split_part(via_key, ':', 3)
        from identity.event where night = '{nights.night}' and event = '{event}' order by seq
    """)


def test_merge_is_explained_by_the_new_link():
    nights = Nights()
    apart = patient("file", "王芳", phone=phone(1)).plus(fan("fan", unionid="oUNION0001"), mini("mini", phone=phone(2)))
    nights.next(apart)

    nights.next(
        patient("file", "王芳", phone=phone(1)).plus(
            fan("fan", unionid="oUNION0001"), mini("mini", unionid="oUNION0001", phone=phone(2))
        )
    )

    assert _why(nights, "ID_MERGED") in (
        [(None, "unionid", "****01", "mini")],
        [(None, "unionid", "****01", "fan")],
    )
    ((moved, *_),) = _why(nights, "MOVED")
    assert moved in ("fan", "mini")


def test_new_record_that_bridges_two_customers_explains_their_merge():
    nights = Nights()
    file, member = patient("file", "王芳", phone=phone(1)), fan("fan", seen=5, unionid="oUNION0001")
    nights.next(file.plus(member))

    nights.next(file.plus(member, mini("bridge", seen=9, unionid="oUNION0001", phone=phone(1))))

    assert _why(nights, "ID_MERGED") == [(None, "unionid", "****01", "bridge")]
    assert _why(nights, "MOVED") == [("fan", "unionid", "****01", "bridge")]


def test_split_is_explained_by_the_withdrawn_link():
    nights = Nights()
    member = fan("fan", phone=phone(1))
    nights.next(patient("file", "王芳", phone=phone(1)).plus(member))

    nights.next(patient("file", "王芳", phone=phone(2)).plus(member))

    assert _why(nights, "MOVED") == [("fan", "phone", "+86139****0001", "file")]


def test_split_is_explained_when_the_record_between_vanishes():
    nights = Nights()
    ends = patient("file", "王芳", phone=phone(1)).plus(fan("fan", unionid="oUNION0001"))
    nights.next(ends.plus(mini("between", unionid="oUNION0001", phone=phone(1))))

    nights.next(ends)

    assert _why(nights, "MOVED") == [("fan", "unionid", "****01", "between")]


def test_value_that_everybody_lost_is_known_from_the_old_reason():
    nights = Nights()
    nights.next(patient("file", "王芳", phone=phone(1)).plus(fan("fan", phone=phone(1))))

    nights.next(patient("file", "王芳").plus(fan("fan")))

    assert _why(nights, "MOVED") == [("fan", "phone", "+86139****0001", "file")]


def test_family_phone_explains_why_the_child_left():
    nights = Nights()
    child = patient("child", "李小宝", phone=phone(1), is_minor=True).plus(lead("lead", phone=phone(1)))
    nights.next(child)

    nights.next(child.plus(patient("mother", "王芳", phone=phone(1))))

    assert _why(nights, "MOVED")[0][1:3] == ("phone", "+86139****0001")


def _whose(nights: Nights, event: str) -> list[tuple]:
    return nights.rows(f"""
        select split_part(coalesce(key, ''), ':', 3), cause_value_type, split_part(via_key, ':', 3), override_id
        from identity.event where night = '{nights.night}' and event = '{event}' order by seq
    """)


def test_detach_is_not_blamed_for_a_link_that_its_source_took_back():
    nights = Nights()
    file = patient("file", "王芳", phone=phone(1))
    leads = [lead("detached", phone=phone(1)), lead("dropped", seen=1, phone=phone(1))]
    nights.next(file.plus(*leads))

    detach = Said("d1", "detach", "lead:leads:detached", phone(1))
    nights.next(file.plus(leads[0], lead("dropped", seen=1)).saying(detach))

    assert _whose(nights, "MOVED") == [("detached", "phone", "file", "d1"), ("dropped", "phone", "file", None)]


def test_detach_of_the_file_that_keeps_the_id_is_not_blamed_for_a_link_taken_back_either():
    nights = Nights()
    file = patient("file", "王芳", phone=phone(1))
    nights.next(file.plus(lead("dropped", phone=phone(1))))

    nights.next(file.plus(lead("dropped")).saying(Said("d1", "detach", FILE, phone(1))))

    assert _whose(nights, "MOVED") == [("dropped", "phone", "file", None)]


def test_detach_of_one_who_left_is_not_blamed_for_the_file_that_let_go_itself():
    nights = Nights()
    nights.next(
        patient("file", "王芳", phone=phone(1)).plus(
            lead("a-detached", phone=phone(1)), lead("b-kept", seen=1, phone=phone(1))
        )
    )

    nights.next(
        patient("file", "王芳")
        .plus(lead("a-detached", phone=phone(1)), lead("b-kept", seen=1, phone=phone(1)))
        .saying(Said("d1", "detach", "lead:leads:a-detached", phone(1)))
    )

    assert _whose(nights, "MOVED") == [("a-detached", "phone", "file", "d1"), ("b-kept", "phone", "file", None)]


def test_detach_explains_who_is_left_without_the_file():
    nights = Nights()
    world = patient("file", "王芳", phone=phone(1)).plus(lead("kept", phone=phone(1)))
    nights.next(world)

    nights.next(world.saying(Said("d1", "detach", FILE, phone(1))))

    assert _whose(nights, "MOVED") == [("kept", "phone", "file", "d1")]


def test_detach_that_ends_a_dispute_explains_who_joins():
    nights = Nights()
    world = patient("file", "王芳", phone=phone(1)).plus(
        patient("other", "张伟", phone=phone(1)), fan("fan", phone=phone(1))
    )
    nights.next(world)

    nights.next(world.saying(Said("d1", "detach", "patient:saas:other", phone(1))))

    assert [row[-1] for row in _whose(nights, "ID_MERGED")] == ["d1"]


def test_revoked_detach_explains_who_joins_again():
    nights = Nights()
    world = patient("file", "王芳", phone=phone(1)).plus(lead("lead", phone=phone(1)))
    nights.next(world.saying(Said("d1", "detach", "lead:leads:lead", phone(1))))

    nights.next(world)

    assert _whose(nights, "ID_MERGED") == [("", "phone", "file", "d1")]


def test_merge_is_named_when_it_takes_effect_on_the_return_of_a_partner():
    nights = Nights()
    world = patient("file", "王芳").plus(patient("second", "王方", seen=1))
    merge = Said("m1", "merge", FILE, "patient:saas:second")
    nights.next(world.without("patient:saas:second"))
    nights.next(world)
    nights.next(world.without(FILE).saying(merge))

    nights.next(world.saying(merge))

    assert _whose(nights, "ID_MERGED") == [("", None, "file", "m1")]
    assert _whose(nights, "MOVED") == [("second", None, "file", "m1")]


def test_merge_through_a_record_that_is_gone_is_named():
    nights = Nights()
    world = patient("file", "王芳").plus(patient("between", "王方", seen=1), patient("last", "王坊", seen=2))
    merges = (
        Said("m1", "merge", FILE, "patient:saas:between"),
        Said("m2", "merge", "patient:saas:between", "patient:saas:last"),
    )
    nights.next(world.without("patient:saas:last"))
    nights.next(world.without("patient:saas:between").saying(merges[0]))

    nights.next(world.without("patient:saas:between").saying(*merges))
    assert _whose(nights, "MOVED") == [("last", None, "file", "m2")]

    nights.next(world.without("patient:saas:between").saying(merges[0]))
    assert _whose(nights, "MOVED") == [("last", None, "file", "m2")]
    assert _whose(nights, "ID_REVIVED") == [("", None, "file", "m2")]


def test_split_is_named_when_its_second_record_returns():
    nights = Nights()
    world = patient("file", phone=phone(1)).plus(lead("lead", phone=phone(1)))
    split = Said("s1", "split", FILE, "lead:leads:lead")
    nights.next(world)
    nights.next(world.without("lead:leads:lead").saying(split))

    nights.next(world.saying(split))

    assert _whose(nights, "MOVED") == [("lead", None, "file", "s1")]


def test_standing_split_is_not_blamed_for_one_who_loses_the_value_while_the_other_is_gone():
    nights = Nights()
    world = patient("file", phone=phone(1)).plus(lead("lead", phone=phone(1)), fan("fan", seen=1, phone=phone(1)))
    split = Said("s1", "split", FILE, "lead:leads:lead")
    nights.next(world)
    nights.next(world.without(FILE).saying(split))

    nights.next(world.without(FILE).without_facts(("lead:leads:lead", phone(1))).saying(split))

    assert [row[-1] for row in _whose(nights, "MOVED")] == [None]


def test_merge_that_ties_a_new_record_is_named_by_its_first_event():
    nights = Nights()
    said = (
        Said("m1", "merge", FILE, "patient:saas:second"),
        Said("m2", "merge", "patient:saas:second", "patient:saas:third"),
    )

    nights.next(
        patient("file", "王芳", phone=phone(1))
        .plus(patient("second", "王方", seen=1), patient("third", "王坊", seen=2), fan("fan", seen=3, phone=phone(1)))
        .saying(*said)
    )

    assert _whose(nights, "LINKED") == [
        ("file", "merge", "second", "m1"),
        ("second", "merge", "file", "m1"),
        ("third", "merge", "file", "m2"),
        ("fan", "phone", "file", None),
    ]
