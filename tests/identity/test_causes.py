"""Why a record moved: the link that came or went, by value and by the record on its other side."""

from tests.identity.factory import Nights, fan, lead, mini, patient, phone


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
