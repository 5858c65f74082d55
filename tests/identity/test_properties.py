"""Random worlds over several nights: what holds whatever happens."""

import math
import os
import random
import re
from dataclasses import dataclass, replace
from datetime import date

import pytest

from pipelines.identity.resolve import IdentityConfig
from tests.identity import oracle
from tests.identity.factory import Fact, Nights, Record, Said, World, day, phone

CONFIG = IdentityConfig(hub_persons=3, hub_unions=3, hub_records=7, customer_unions=2, customer_records=6)
SEEDS = int(os.environ.get("IDENTITY_SEEDS", "2"))  # more worlds for a longer look
KINDS = ("patient", "patient", "wecom_contact", "official_account_fan", "mini_program_user", "lead")
NAMES = ("张伟", "王芳", "李娜", "赵磊", None)


def _record(rng: random.Random, number: int) -> Record:
    kind = rng.choice(KINDS)
    key = f"{kind}:s:{number}"
    if kind != "patient":
        return Record(key, kind, day(rng.randrange(6)))
    return Record(
        key,
        kind,
        day(rng.randrange(6)),
        rng.choice(NAMES),
        rng.choice((None, date(1990, 5, 1), date(1991, 6, 2))),
        rng.choice((None, None, None, "id1", "id2")),
        rng.random() < 0.3,
    )


def _facts(rng: random.Random, key: str, patients: list[str], crowd: int) -> list[Fact]:
    facts = []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        match rng.randrange(6):
            case 0 | 1 | 2:
                facts.append(
                    Fact(key, "phone", phone(rng.randrange(14 * crowd**2)), rng.choice((3, 4, 5)), rng.randrange(2))
                )
            case 3 | 4 if not key.startswith("patient"):
                facts.append(Fact(key, "unionid", f"o{rng.randrange(12 * crowd**2)}", 2))
            case _ if patients:
                patient = rng.choice(patients)
                facts += [Fact(key, "binding", patient, 1), Fact(patient, "binding", patient, 1)]
    return facts


def said_rows(rng: random.Random, keys: list[str]) -> list[Said]:
    """Operator rows that contradict neither each other nor those of another draw: some keys are never merged."""
    apart = [key for key in keys if int(key.split(":")[-1]) % 3 == 0]
    merged = rng.sample([key for key in keys if key not in apart], 5)
    said = [
        Said("m1", "merge", merged[0], merged[1]),
        Said("m2", "merge", merged[1], merged[2]),
        Said("m3", "merge", merged[3], merged[4]),
        *(Said(f"s{number}", "split", key, rng.choice(merged)) for number, key in enumerate(rng.sample(apart, 2))),
        Said("s2", "split", *rng.sample(apart, 2)),
        Said("d1", "detach", rng.choice(keys), phone(rng.randrange(14))),
        Said("d2", "detach", rng.choice(keys), f"o{rng.randrange(12)}"),
        Said("b1", "block", phone(rng.randrange(14))),
        *(Said(f"a{number}", "allow", phone(number)) for number in rng.sample(range(14), 2)),
    ]
    patients = [key for key in keys if key.startswith("patient")]
    return [*said, *(Said(f"o{number}", "owner", phone(number), rng.choice(patients)) for number in range(14))]


def _said_tonight(rng: random.Random, night: int, said: list[Said], keys: list[str]) -> list[Said]:
    """Which of the rows still stand, and further ones; some nights all are revoked, and some bring none."""
    stays = rng.choice((0, 0.6, 0.9))
    standing = [row for row in said if rng.random() < stays]
    if rng.random() < 0.3:
        return standing
    return [*standing, *(replace(row, id=f"{row.id}-{night}") for row in said_rows(rng, keys) if rng.random() < 0.7)]


def _hidden(rng: random.Random, said: list[Said], keys: list[str]) -> set[str]:
    """Records that a source does not deliver tonight, some of those that operators merged among them."""
    merged = sorted({key for row in said if row.kind == "merge" for key in (row.a, row.b)})
    return {*rng.sample(keys, rng.randrange(6)), *rng.sample(merged, min(len(merged), rng.randrange(3)))}


def worlds_of_nights(seed: int, nights: int = 4, crowd: int = 1) -> list[World]:
    """A world that drifts: records arrive, vanish, return; evidence comes and goes; operators decide and revoke.

    With `crowd`, so many times the records, on values that they share less, and the same changes.
    """
    rng = random.Random(seed)
    records = [_record(rng, number) for number in range(26 * crowd)]
    patients = [record.key for record in records if record.kind == "patient"]
    facts = [fact for record in records for fact in _facts(rng, record.key, patients, crowd)]
    said: list[Said] = []
    worlds = []
    for night in range(nights):
        known = [record.key for record in records]
        said = _said_tonight(rng, night, said, known)
        hidden = _hidden(rng, said, known)
        worlds.append(
            World(
                tuple(record for record in records if record.key not in hidden),
                tuple(fact for fact in facts if fact.key not in hidden),
                (("phone", phone(0)), ("unionid", "o0")),
                tuple(said),
            )
        )
        records += [_record(rng, len(records) + number) for number in range(2)]
        facts = [fact for fact in facts if rng.random() > 0.06 / crowd]
        facts += [fact for record in rng.sample(records, 4) for fact in _facts(rng, record.key, patients, crowd)]
    return worlds


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nights_keep_every_promise(seed: int):
    nights = Nights(config=CONFIG, part_at_most=0)
    replayed: dict[str, str] = {}
    last_ids: dict[str, str] = {}
    for number, world in enumerate(worlds_of_nights(seed)):
        nights.next(world)

        ids = nights.ids()
        customers = _customers(ids)
        assert set(customers.values()) == oracle.partition(world, CONFIG)
        stated = nights.rows("select value_type, value, state from identity.value_state")
        assert {(t, v): s for t, v, s in stated} == oracle.states(world, CONFIG)
        _assert_log_is_complete(nights, replayed)
        _assert_unchanged_sets_keep_their_id(last_ids, ids)
        _assert_registry_is_sound(nights)
        _assert_reasons_hold(nights, world)
        _assert_order_of_rows_does_not_matter(nights, world, seed=number)
        last_ids = ids
    _assert_night_starts_over(nights, world)


@pytest.mark.parametrize("crowd", [1, 4])
@pytest.mark.parametrize("seed", range(200, 200 + SEEDS))
def test_a_night_in_part_leaves_what_a_night_of_everybody_leaves(seed: int, crowd: int):
    whole, part = Nights(config=CONFIG, part_at_most=0), Nights(config=CONFIG, part_at_most=math.inf)
    worlds = worlds_of_nights(seed, crowd=crowd)
    shares = []
    for world in worlds:
        assert part.next(world) == whole.next(world)
        assert part.tables() == whole.tables()
        shares += part.rows(
            "select (select count(*) from identity.touched_record) / (select count(*) from identity.seen)"
        )
    # A night that runs again with something else, and once more as it was.
    for world in (worlds[0], worlds[-1]):
        assert part.again(world) == whole.again(world)
        assert part.tables() == whole.tables()
    ways = [way for (way,) in part.rows("select way from identity.night order by night")]
    assert ways == ["whole", *["part"] * (len(worlds) - 1)]
    assert crowd == 1 or min(share for (share,) in shares[1:]) < 0.7


@pytest.mark.parametrize("seed", range(300, 300 + SEEDS))
def test_causes_name_what_happened(seed: int):
    nights = Nights(config=CONFIG, part_at_most=0)
    last = World()
    for number, world in enumerate(worlds_of_nights(seed, nights=6)):
        # Operators decide every third night; in between records vanish from standing rows and return to them.
        world = world if number % 3 == 0 else replace(world, said=last.said)  # noqa: PLW2901
        nights.next(world)

        for event in _told(nights):
            _assert_cause_holds(event, last, world)
        last = world


@pytest.mark.parametrize("seed", range(400, 400 + SEEDS))
def test_revoking_every_decision_gives_everybody_the_id_they_had(seed: int):
    rng = random.Random(seed)
    nights = Nights(config=CONFIG, part_at_most=_way_of(seed))
    *_, world = worlds = [world.saying() for world in worlds_of_nights(seed, nights=3)]
    for one in worlds:
        nights.next(one)
    before = nights.ids()
    merged = rng.sample(sorted(before), 8)
    apart = sorted(pair for pair in _pairs(before) if not set(merged[::2]) & set(pair))
    said = [Said(f"m{place}", "merge", *merged[place : place + 2]) for place in (0, 2, 4, 6)]
    said += [Said(f"s{number}", "split", *pair) for number, pair in enumerate(rng.sample(apart, 4))]
    rng.shuffle(said)
    for count in (4, 8):
        nights.next(world.saying(*said[:count]))
    assert nights.ids() != before

    nights.next(world)

    assert nights.ids() == before


def _way_of(seed: int) -> float:
    """Every other world is resolved in nights in part."""
    return math.inf if seed % 2 else 0


def _pairs(ids: dict[str, str]) -> set[tuple[str, str]]:
    return {(one, other) for one in ids for other in ids if one < other and ids[one] == ids[other]}


@pytest.mark.parametrize("seed", range(100, 102))
def test_same_input_on_a_new_night_logs_nothing_even_when_resolved_anew(seed: int):
    nights = Nights(config=CONFIG)
    for world in worlds_of_nights(seed, nights=2):
        nights.next(world)
    before = nights.tables()

    # A value that nobody carries changes the fingerprint and nothing else, so the whole algorithm runs.
    summary = nights.next(replace(world, blocked=(*world.blocked, ("phone", "+8613700000000"))))

    assert summary.events == {}
    assert nights.tables() == before


def _customers(ids: dict[str, str]) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    for key, one_id in ids.items():
        members.setdefault(one_id, set()).add(key)
    return {one_id: frozenset(keys) for one_id, keys in members.items()}


def _assert_log_is_complete(nights: Nights, replayed: dict[str, str]) -> None:
    """LINKED and MOVED alone rebuild the assignment; registry changes are all told."""
    for event, key, to_id in nights.rows(
        f"select event, key, to_id from identity.event where night = '{nights.night}' order by seq"
    ):
        if event in ("LINKED", "MOVED"):
            replayed[key] = to_id
    assert replayed == dict(nights.rows("select key, one_id from identity.assignment"))
    told = nights.rows(f"""
        select from_id, event from identity.event
        where night = '{nights.night}' and starts_with(event, 'ID_') order by all
    """)
    turned = {"merged": "ID_MERGED", "active": "ID_REVIVED", "dormant": "ID_DORMANT"}
    changed = nights.rows(f"""
        select one_id, status from identity.registry
        where changed_night = '{nights.night}' and (minted_night < '{nights.night}' or status <> 'active') order by all
    """)
    assert told == sorted((one_id, turned[status]) for one_id, status in changed)
    absences = nights.rows(f"""
        select key, event from identity.event
        where night = '{nights.night}' and event in ('VANISHED', 'RETURNED') order by all
    """)
    assert absences == nights.rows("""
        select key, case when now.present then 'RETURNED' else 'VANISHED' end
        from identity.assignment as now inner join identity.assignment_before as last using (key)
        where now.present <> last.present and now.one_id = last.one_id order by all
    """)


def _assert_unchanged_sets_keep_their_id(last: dict[str, str], ids: dict[str, str]) -> None:
    sets = {members: one_id for one_id, members in _customers(ids).items()}
    for one_id, members in _customers(last).items():
        assert sets.get(members, one_id) == one_id


def _assert_registry_is_sound(nights: Nights) -> None:
    registry = nights.rows("select customer_key, one_id, status, merged_into from identity.registry")
    waiting = nights.rows("select customer_key from identity.handed_out")
    assert sorted(row[0] for row in [*registry, *waiting]) == list(range(len(registry) + len(waiting)))
    status = {one_id: (state, target) for _, one_id, state, target in registry}
    assert {one_id for one_id, (state, _) in status.items() if state == "active"} == set(nights.ids().values())
    for one_id in status:
        path = [one_id]
        while status[path[-1]][0] == "merged":
            assert status[path[-1]][1] not in path
            path.append(status[path[-1]][1])
    assert nights.rows("""
        select count(*) from identity.assignment inner join identity.registry using (one_id)
        where assignment.customer_key <> registry.customer_key
    """) == [(0,)]


def _assert_reasons_hold(nights: Nights, world: World) -> None:
    """Who shares a customer has a reason, and it names a record of the same customer that carries the value as well."""
    carried = {(fact.key, fact.value_type, masked(fact)) for fact in world.facts if fact.value}
    ids = nights.ids()
    sizes = {one_id: len(members) for one_id, members in _customers(ids).items()}
    for key, one_id, value_type, value, via in nights.rows("""
        select key, one_id, reason_value_type, reason_value_masked, reason_via_key
        from identity.assignment
        where present
    """):
        assert (via is not None) == (value_type is not None) == (sizes[one_id] > 1)
        if via is not None:
            assert via != key
            assert ids[via] == one_id
        if value_type not in (None, "merge"):
            assert {(key, value_type, value), (via, value_type, value)} <= carried


@dataclass(frozen=True)
class _Told:
    """An event that has a cause, and the records it may be about: those who have, or had, one of its ids.

    moved: of them, those who went the way of the event.
    """

    event: str
    value: tuple[str, str] | None
    via: str | None
    override_id: str | None
    concerned: frozenset[str]
    moved: frozenset[str]


def _told(nights: Nights) -> list[_Told]:
    was, now = (
        dict(nights.rows(f"select key, one_id from identity.{table}")) for table in ("assignment_before", "assignment")
    )
    led_to = dict(nights.rows("select one_id, merged_into from identity.registry_before where status = 'merged'"))
    told = []
    for event, from_id, to_id, value_type, value, via, override_id in nights.rows(f"""
        select event, from_id, to_id, cause_value_type, cause_value_masked, via_key, override_id
        from identity.event
        where night = '{nights.night}' and event in ('LINKED', 'MOVED', 'ID_MERGED', 'ID_REVIVED')
    """):
        # An id that was merged already and is merged elsewhere: its records had the id that it led to.
        had = from_id
        while event == "ID_MERGED" and had in led_to:
            had = led_to[had]
        ids = {from_id, had, to_id} - {None}
        if event == "ID_REVIVED":
            ids |= {was[key] for key in now if now[key] == from_id and key in was}
        told.append(
            _Told(
                event,
                value_type and (value_type, value),
                via,
                override_id,
                frozenset(key for key in now if now[key] in ids or was.get(key) in ids),
                frozenset(key for key in now if now[key] == to_id and was.get(key) == had),
            )
        )
    return told


def _assert_cause_holds(told: _Told, last: World, world: World) -> None:
    carriers = {
        (value_type, masked(Fact(key, value_type, value)), key)
        for key, value_type, value in _effective(last) | _effective(world)
    }
    if told.value is not None and told.value[0] != "merge":
        assert told.via in told.concerned
        assert any((*told.value, key) in carriers for key in told.concerned - {told.via})
    # Whose id went into another's was tied to them by something new.
    assert told.event != "ID_MERGED" or told.value is not None or told.override_id is not None
    assert told.event != "LINKED" or (told.value == ("merge", None)) == (told.override_id is not None)
    if told.override_id is None:
        return
    changed = {said for said in {*last.said} ^ {*world.said} if said.id == told.override_id}
    standing = {said for said in {*last.said} & {*world.said} if said.id == told.override_id}
    assert any(_did_it(said, told, last, world) for said in changed) or any(
        _met_tonight(said, told, last, world) for said in standing
    )


def _did_it(said: Said, told: _Told, last: World, world: World) -> bool:
    """Whether a row given or revoked tonight is about the records, or about a value that they carry or carried."""
    was, now = _effective(last), _effective(world)
    match said.kind:
        case "merge" | "split":
            there = {record.key for record in world.records}
            return bool({said.a, said.b} & there) and {said.a, said.b} & there <= told.concerned
        case "detach":
            changed = {key for key, _, value in was ^ now if value == said.b}
            left = {key for key, _, value in was if value == said.b and key in told.moved}
            kept = {key for key, _, value in now if value == said.b and key in told.moved}
            return said.a in changed and (said.a in left or not left or bool(kept))
    return any(value == said.a and key in told.concerned for key, _, value in was | now)


def _met_tonight(said: Said, told: _Told, last: World, world: World) -> bool:
    """Whether a standing row brought together, or kept apart, records of which one was not there the night before."""
    if said.kind not in ("merge", "split"):
        return False
    returned = {record.key for record in world.records} - {record.key for record in last.records}
    return bool(returned & told.concerned) and _did_it(said, told, last, world)


def _effective(world: World) -> set[tuple[str, str, str]]:
    """(key, value type, value) that count, without what operators detached."""
    detached = {(said.a, said.b) for said in world.said if said.kind == "detach"}
    return {(f.key, f.value_type, f.value) for f in world.facts if f.value and (f.key, f.value) not in detached}


def masked(fact: Fact) -> str:
    if fact.value_type == "binding":
        return fact.value
    if re.fullmatch("[+]?[0-9]{11,15}", fact.value):
        return f"{fact.value[:-8]}****{fact.value[-4:]}"
    return f"****{fact.value[-2:]}" if len(fact.value) >= 7 else "****"


def _assert_order_of_rows_does_not_matter(nights: Nights, world: World, *, seed: int) -> None:
    before = nights.tables()

    nights.again(replace(world.shuffled(seed), blocked=(*world.blocked, ("phone", f"+861370000000{seed}"))))

    assert nights.tables() == before


def _assert_night_starts_over(nights: Nights, world: World) -> None:
    """Another input in between leaves no trace but the ids it gave out."""
    before = nights.tables()

    nights.again(replace(world, records=world.records[:-3], facts=(), said=()))
    given_out = set(nights.ids().values())
    nights.again(world)

    after = nights.tables()
    known = {row[0] for row in before["registry"]}
    waiting = {one_id for (one_id,) in nights.rows("select one_id from identity.handed_out")}
    for table, place in (("registry", 0), ("event", 4)):
        lost = [row for row in after[table] if row not in before[table]]
        assert {row[place] for row in lost} == given_out - known - waiting
        after[table] = [row for row in after[table] if row not in lost]
    assert after == before


@pytest.mark.parametrize("seed", range(500, 500 + SEEDS))
def test_every_id_that_any_run_gave_out_leads_somewhere_after_all_later_runs(seed: int):
    rng = random.Random(seed)
    nights, given_out = Nights(config=CONFIG, part_at_most=_way_of(seed)), set()
    keys: dict[str, int] = {}
    for world in worlds_of_nights(seed):
        nights.next(_morning(rng, world))
        for arrived in (_morning(rng, world), world)[rng.randrange(2) :]:
            given_out |= set(nights.ids().values())
            keys |= dict(nights.rows("select one_id, customer_key from identity.registry"))
            nights.again(arrived)
            keys_now = dict(nights.rows("select one_id, customer_key from identity.registry"))
            assert keys | keys_now == keys_now | keys
            assert len(set((keys | keys_now).values())) == len(keys | keys_now)
            replayed: dict[str, str] = {}
            for key, to_id in nights.rows("""
                select key, to_id from identity.event where event in ('LINKED', 'MOVED') order by night, seq
            """):
                replayed[key] = to_id
            assert replayed == dict(nights.rows("select key, one_id from identity.assignment"))
            _assert_registry_is_sound(nights)
            # Waiting are those whose founder is nobody's record, not even one that is missing.
            known = nights.rows("""
                select one_id from identity.registry
                union all
                select one_id from identity.handed_out anti join identity.assignment on founder_key = key
            """)
            assert given_out <= {one_id for (one_id,) in known}
    assert given_out - set(nights.ids().values())


def _morning(rng: random.Random, world: World) -> World:
    """What of the world is there early in the day."""
    late = {record.key for record in world.records if rng.random() < 0.2}
    return replace(world.without(*late), said=tuple(said for said in world.said if not {said.a, said.b} & late))
