"""Golden nights of stable ids: splits, merges, un-merges, vanished records."""

import hashlib

from tests.identity.factory import Nights, Said, World, fan, lead, mini, patient, phone, wecom


def _pair() -> tuple[World, World]:
    return patient("file", "王芳", seen=3, phone=phone(1)), fan("fan", seen=1, phone=phone(1))


def test_new_id_hashes_its_founder():
    nights = Nights()

    nights.next(patient("file", "王芳"))

    digest = hashlib.sha256(b"|patient:saas:file|0").hexdigest()
    assert nights.id_of("file") == f"C{digest[:16]}"


def test_split_leaves_the_id_with_the_patient_file():
    nights = Nights()
    file, member = _pair()
    nights.next(file.plus(member))
    one_id = nights.id_of("file")

    nights.next(file.plus(member.without_facts((member.records[0].key, phone(1)))))

    assert nights.id_of("file") == one_id
    # The fan is the founder but the file weighs more; the fan's own id is taken, so it gets its second.
    digest = hashlib.sha256(b"|official_account_fan:wx:fan|1").hexdigest()
    assert nights.id_of("fan") == f"C{digest[:16]}"
    assert nights.events() == [("MOVED", "fan", one_id, nights.id_of("fan"))]


def test_merge_keeps_the_oldest_id():
    nights = Nights()
    nights.next(lead("early"))
    early = nights.id_of("early")
    nights.next(lead("early").plus(patient("file", "王芳", phone=phone(1))))
    late = nights.id_of("file")

    nights.next(lead("early", phone=phone(1)).plus(patient("file", "王芳", phone=phone(1))))

    assert set(nights.ids().values()) == {early}
    assert nights.events() == [("MOVED", "file", late, early), ("ID_MERGED", None, late, early)]
    assert nights.rows(f"select status, merged_into from identity.registry where one_id = '{late}'") == [
        ("merged", early)
    ]


def test_merge_of_ids_of_one_night_keeps_the_heavier():
    nights = Nights()
    nights.next(lead("lead", phone=phone(1)).plus(patient("file", "王芳", phone=phone(2))))
    file = nights.id_of("file")

    nights.next(lead("lead", phone=phone(2)).plus(patient("file", "王芳", phone=phone(2))))

    assert set(nights.ids().values()) == {file}


def test_unmerge_gives_the_old_id_back():
    nights = Nights()
    apart = patient("one", "王芳", phone=phone(1)).plus(wecom("contact", seen=2, phone=phone(2)))
    nights.next(apart)
    before = nights.ids()
    nights.next(patient("one", "王芳", phone=phone(1)).plus(wecom("contact", seen=2, phone=phone(1))))
    assert len(nights.together()) == 1

    nights.next(apart)

    assert nights.ids() == before
    contact = nights.id_of("contact")
    assert nights.events() == [
        ("MOVED", "contact", nights.id_of("one"), contact),
        ("ID_REVIVED", None, contact, None),
    ]
    assert nights.rows("select distinct status, merged_into from identity.registry") == [("active", None)]


def test_a_patient_merged_into_an_older_lead_leaves_the_lead_its_id():
    nights = Nights()
    nights.next(lead("l"))
    apart = lead("l").plus(patient("p", "王芳", seen=1))
    nights.next(apart)
    before = nights.ids()
    nights.next(apart.saying(Said("m", "merge", "lead:leads:l", "patient:saas:p")))
    assert set(nights.ids().values()) == {before["lead:leads:l"]}

    nights.next(apart)

    assert nights.ids() == before
    p = before["patient:saas:p"]
    assert nights.rows(f"""
        select event, from_id, to_id, via_key, override_id from identity.event
        where night = '{nights.night}' order by seq
    """) == [
        ("MOVED", before["lead:leads:l"], p, "lead:leads:l", "m"),
        ("ID_REVIVED", p, None, "lead:leads:l", "m"),
    ]  # fmt: skip


def test_a_patient_goes_back_though_a_fan_came_along_since():
    nights = Nights()
    nights.next(lead("l", phone=phone(1)))
    nights.next(lead("l", phone=phone(1)).plus(patient("p", "王芳", phone=phone(2))))
    before = nights.ids()
    together = lead("l", phone=phone(1)).plus(patient("p", "王芳", phone=phone(1)))
    nights.next(together)
    nights.next(together.plus(fan("f", unionid="o1", phone=phone(1)), mini("m", unionid="o1")))

    nights.next(
        lead("l", phone=phone(1)).plus(
            patient("p", "王芳", phone=phone(2)), fan("f", unionid="o1", phone=phone(2)), mini("m", unionid="o1")
        )
    )

    after = nights.ids()
    assert {key: after[key] for key in before} == before
    assert after["official_account_fan:wx:f"] == before["patient:saas:p"]


def test_leads_torn_by_a_split_and_a_merge_get_their_id_back_when_both_are_revoked():
    nights = Nights()
    apart = lead("a1", phone=phone(1)).plus(lead("a2", seen=1, phone=phone(1)), patient("b", "王芳", seen=2))
    for world in (lead("a1", phone=phone(1)).plus(lead("a2", seen=1, phone=phone(1))), apart):
        nights.next(world)
    before = nights.ids()
    merge, split = Said("m", "merge", "lead:leads:a1", "patient:saas:b"), Said("s", "split", *sorted(before)[:2])
    nights.next(apart.saying(merge, split))
    assert nights.together() == {frozenset({"a1", "b"}), frozenset({"a2"})}
    alone = nights.id_of("a2")

    nights.next(apart)

    assert nights.ids() == before
    assert nights.rows(f"select status, merged_into from identity.registry where one_id = '{alone}'") == [
        ("merged", before["lead:leads:a1"])
    ]


def test_a_chain_of_merges_comes_apart_into_the_ids_it_was_made_of():
    nights = Nights()
    apart = World()
    for number, record in enumerate((lead("l"), fan("f", seen=1), patient("p", "王芳", seen=2))):
        apart = apart.plus(record)
        nights.next(apart)
        assert len(nights.together()) == number + 1
    before = nights.ids()
    first = Said("m1", "merge", "official_account_fan:wx:f", "patient:saas:p")
    nights.next(apart.saying(first))
    nights.next(apart.saying(first, Said("m2", "merge", "lead:leads:l", "official_account_fan:wx:f")))
    assert len(nights.together()) == 1

    nights.next(apart)

    assert nights.ids() == before


def test_an_id_goes_with_those_who_held_it_not_with_its_founder():
    nights = Nights()
    nights.next(lead("old"))
    file, founder = patient("p", "王芳", seen=3, phone=phone(1)), fan("f", seen=1, phone=phone(1))
    nights.next(lead("old").plus(file, founder))
    file_id = nights.id_of("p")
    torn = lead("old").plus(file, fan("f", seen=1, phone=phone(2)))
    nights.next(torn)
    before = nights.ids()
    assert nights.id_of("p") == file_id != nights.id_of("f")
    nights.next(torn.saying(Said("m", "merge", "lead:leads:old", "patient:saas:p")))

    nights.next(torn)

    assert nights.ids() == before


def test_vanished_source_causes_no_new_ids():
    nights = Nights()
    world = patient("file", "王芳", phone=phone(1)).plus(mini("mini", phone=phone(1)), lead("lead"))
    nights.next(world)
    before = nights.ids()

    nights.next(world.without("mini_program_user:wx:mini", "lead:leads:lead"))

    assert nights.events() == [
        ("VANISHED", "lead", before["lead:leads:lead"], before["lead:leads:lead"]),
        ("VANISHED", "mini", before["mini_program_user:wx:mini"], before["mini_program_user:wx:mini"]),
        ("ID_DORMANT", None, before["lead:leads:lead"], None),
    ]
    assert nights.rows("select key, one_id from identity.assignment where not present order by key") == [
        (key, before[key]) for key in ("lead:leads:lead", "mini_program_user:wx:mini")
    ]

    nights.next(world)

    assert nights.ids() == before
    assert [event[0] for event in nights.events()] == ["RETURNED", "RETURNED", "ID_REVIVED"]


def test_record_that_returns_to_another_customer_logs_moved_only():
    nights = Nights()
    file, member = _pair()
    nights.next(file.plus(member))
    one_id = nights.id_of("file")
    nights.next(file)

    nights.next(file.plus(fan("fan", seen=1)))

    assert nights.events() == [("MOVED", "fan", one_id, nights.id_of("fan"))]


def test_returning_record_takes_no_id_from_an_unchanged_customer():
    nights = Nights()
    file, member = _pair()
    nights.next(file.plus(member))
    one_id = nights.id_of("fan")
    nights.next(member)

    nights.next(member.plus(patient("file", "王芳")))

    assert nights.id_of("fan") == one_id
    assert nights.id_of("file") != one_id


def test_customer_keys_are_dense_and_never_reused():
    nights = Nights()
    nights.next(lead("a").plus(lead("b")))
    nights.next(lead("c"))

    nights.next(lead("b").plus(lead("d")))

    assert nights.rows("""
        select split_part(key, ':', 3), customer_key from identity.assignment order by customer_key
    """) == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]


def test_rebuild_without_history_gives_the_same_ids():
    world = World().plus(*(patient(f"p{n}", f"王{n}", seen=n, phone=phone(n // 2)) for n in range(6)))
    first, second = Nights(), Nights()

    first.next(world)
    second.next(world.shuffled(1))

    assert first.ids() == second.ids()
