import pytest

from pipelines.identity.resolve import IdentityConfig
from tests.identity.factory import Fact, Nights, World, fan, lead, mini, patient, phone, wecom

SHARED = phone(1)


def _state(nights: Nights, value: str = SHARED) -> tuple | None:
    rows = nights.rows(
        f"select state, persons, adults, unions, records, owner_key from identity.value_state where value = '{value}'"
    )
    return rows[0] if rows else None


def test_family_phone_belongs_to_the_one_adult():
    mother, child = patient("mother", "王芳", phone=SHARED), patient("child", "李小宝", phone=SHARED, is_minor=True)
    nights = Nights()

    nights.next(mother.plus(child, fan("fan", phone=SHARED)))

    assert _state(nights) == ("family", 2, 1, 0, 3, "patient:saas:mother")
    assert nights.together() == {frozenset({"mother", "fan"}), frozenset({"child"})}


def test_owner_keeps_all_of_their_files():
    nights = Nights()

    nights.next(
        patient("old", "王芳", seen=1, phone=SHARED).plus(
            patient("new", "王芳", seen=5, phone=SHARED), patient("child", "李小宝", phone=SHARED, is_minor=True)
        )
    )

    assert _state(nights) == ("family", 2, 1, 0, 3, "patient:saas:old")
    assert nights.together() == {frozenset({"old", "new"}), frozenset({"child"})}


def test_contested_phone_joins_no_patient_but_everybody_else():
    nights = Nights()

    nights.next(
        patient("one", "王芳", phone=SHARED).plus(
            patient("two", "张伟", phone=SHARED), fan("fan", phone=SHARED), lead("lead", phone=SHARED)
        )
    )

    assert _state(nights) == ("contested", 2, 2, 0, 4, None)
    assert nights.together() == {frozenset({"one"}), frozenset({"two"}), frozenset({"fan", "lead"})}


def test_phone_of_children_only_is_contested():
    nights = Nights()

    nights.next(
        patient("one", "李小宝", phone=SHARED, is_minor=True).plus(
            patient("two", "李小贝", phone=SHARED, is_minor=True)
        )
    )

    assert _state(nights) == ("contested", 2, 0, 0, 2, None)


def test_duplicate_files_of_one_person_join():
    nights = Nights()

    nights.next(patient("north", "王芳", phone=SHARED).plus(patient("south", "王芳", phone=SHARED)))

    assert _state(nights) is None
    assert nights.together() == {frozenset({"north", "south"})}


def test_id_number_tells_namesakes_apart():
    nights = Nights()

    nights.next(
        patient("one", "王芳", phone=SHARED, id_number="A1").plus(patient("two", "王芳", phone=SHARED, id_number="B2"))
    )

    assert _state(nights)[:3] == ("contested", 2, 2)
    assert len(nights.together()) == 2


def test_files_without_a_name_do_not_count_as_persons():
    nights = Nights()

    nights.next(patient("one", "王芳", phone=SHARED).plus(patient("two", None, phone=SHARED)))

    assert nights.together() == {frozenset({"one", "two"})}


def _many(count: int) -> World:
    return World().plus(*(patient(f"p{number}", f"姓名{number}号", phone=SHARED) for number in range(count)))


@pytest.mark.parametrize(("persons", "state"), [(5, "contested"), (6, "hub")])
def test_more_than_five_persons_make_a_hub(persons: int, state: str):
    nights = Nights()

    nights.next(_many(persons))

    assert _state(nights)[:2] == (state, persons)


@pytest.mark.parametrize(("unions", "state"), [(4, None), (5, "hub")])
def test_more_than_four_unionids_make_a_hub(unions: int, state: str | None):
    nights = Nights()

    nights.next(World().plus(*(mini(f"m{n}", phone=SHARED, unionid=f"o{n}") for n in range(unions))))

    assert (_state(nights) or [None])[0] == state


@pytest.mark.parametrize(("records", "state"), [(40, None), (41, "hub")])
def test_more_than_forty_records_make_a_hub(records: int, state: str | None):
    nights = Nights()

    nights.next(World().plus(*(lead(f"l{n}", phone=SHARED) for n in range(records))))

    assert (_state(nights) or [None])[0] == state
    assert len(nights.together()) == (41 if state else 1)


def test_nobody_is_joined_by_a_hub():
    nights = Nights()

    nights.next(_many(6).plus(fan("fan", phone=SHARED), lead("lead", phone=SHARED)))

    assert len(nights.together()) == 8


@pytest.mark.parametrize("value", ["+864008206655", "+8675583512345", "+861088888888", "+8613800138000", "11111111111"])
def test_numbers_that_prove_nothing_are_blocked_by_their_form(value: str):
    nights = Nights()

    nights.next(fan("fan", phone=value).plus(lead("lead", phone=value)))

    assert _state(nights, value)[0] == "blocked"
    assert len(nights.together()) == 2


@pytest.mark.parametrize(("value", "states"), [("85291234567", [("blocked",)]), ("+85291234567", [])])
def test_number_abroad_proves_something_only_with_its_sign(value: str, states: list[tuple[str]]):
    nights = Nights()

    nights.next(lead("a", phone=value).plus(lead("b", phone=value)))

    # Without the sign it reads as a landline of area 0852, and blocking fewer of those would join strangers.
    assert nights.rows("select state from identity.value_state") == states


def test_listed_value_is_blocked_whatever_its_type():
    nights = Nights()
    world = fan("fan", unionid="shared").plus(mini("mini", unionid="shared"))

    nights.next(World(world.records, world.facts, blocked=(("unionid", "shared"),)))

    assert _state(nights, "shared")[0] == "blocked"
    assert len(nights.together()) == 2


def test_blocked_value_is_listed_even_when_one_record_carries_it():
    nights = Nights()
    world = wecom("clerk", phone=SHARED)

    nights.next(World(world.records, world.facts, blocked=(("phone", SHARED),)))

    assert _state(nights) == ("blocked", 0, 0, 0, 1, None)


def test_unknown_value_types_are_treated_like_phones():
    nights = Nights()
    one, two = patient("one", "王芳"), patient("two", "张伟")
    facts = tuple(Fact(world.records[0].key, "email", "a@example.com", 3) for world in (one, two))

    nights.next(one.plus(two, World(facts=facts)))

    assert _state(nights, "a@example.com")[0] == "contested"


def test_without_limits_every_value_joins():
    nights = Nights(config=IdentityConfig(limits=False))

    nights.next(_many(7).plus(World(blocked=(("phone", SHARED),))))

    assert len(nights.together()) == 1
    assert _state(nights) is None
