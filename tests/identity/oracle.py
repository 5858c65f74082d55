"""The partition told a second time: plain Python, one ordered union-find over all evidence, no shortcuts.

Follows the design's text, not the code under test.
"""

from collections import defaultdict

from pipelines.identity.resolve import IdentityConfig
from tests.identity.factory import Fact, Record, World

RANK = {"patient": 0, "wecom_contact": 1, "official_account_fan": 2, "mini_program_user": 3, "lead": 4}


def partition(world: World, config: IdentityConfig) -> set[frozenset[str]]:
    """Tonight's customers as sets of keys."""
    records = {record.key: record for record in world.records}
    facts = _facts(world, records)
    denied = _denied(world, records, facts, config)
    idx = {record.key: (RANK[record.kind], record.first_seen_at, record.key) for record in world.records}
    usable = [fact for fact in facts if (fact.key, fact.value_type, fact.value) not in denied]
    # A value that only one record may use joins nobody.
    carriers = defaultdict(set)
    for fact in usable:
        carriers[fact.value_type, fact.value].add(fact.key)
    usable = [fact for fact in usable if len(carriers[fact.value_type, fact.value]) > 1]
    usable.sort(key=lambda f: (f.tier, idx[f.key], f.position, f.value_type, f.value))
    unionids = defaultdict(set)
    blocked = {value for _, kind, value in _state_list(world, records, facts, config) if kind == "unionid"}
    for fact in facts:
        if fact.value_type == "unionid" and fact.value not in blocked:
            unionids[fact.key].add(fact.value)

    groups: dict[object, set[object]] = {key: {key} for key in records}
    group_of: dict[object, object] = {key: key for key in records}

    def unite(one: object, other: object) -> None:
        a, b = group_of[one], group_of[other]
        if a == b:
            return
        for member in groups.pop(b):
            group_of[member] = a
            groups[a].add(member)

    unit_of = {}
    for unit in _units(world, records):
        unit.sort(key=idx.get)
        for key in unit:
            unit_of[key] = tuple(unit)
            unite(unit[0], key)

    def legal(members: set[object]) -> bool:
        keys = {member for member in members if member in records}
        units = {unit_of[key] for key in keys}
        for attribute in ("name_norm", "birth_date", "id_number"):
            stated = [[getattr(records[key], attribute) for key in unit if _is_patient(records[key])] for unit in units]
            if len({next(filter(None, of_unit), None) for of_unit in stated} - {None}) > 1:
                return False
        carried = [set().union(*(unionids[key] for key in unit)) for unit in units]
        # What operators merged may be too much; what a single record carries may not.
        if any(len(unit) == 1 and len(own) > config.customer_unions for unit, own in zip(units, carried, strict=True)):
            return False
        if len(set().union(*carried)) > max([config.customer_unions, *map(len, carried)]):
            return False
        if len(keys) > max([config.customer_records, *map(len, units)]):
            return False
        return not any(said.kind == "split" and {said.a, said.b} <= keys for said in world.said)

    for fact in usable:
        value = (fact.value_type, fact.value)
        if value not in group_of:
            groups[value], group_of[value] = {value}, value
        if group_of[fact.key] != group_of[value] and legal(groups[group_of[fact.key]] | groups[group_of[value]]):
            unite(fact.key, value)
    found = (frozenset(member for member in members if member in records) for members in groups.values())
    return {members for members in found if members}


def _units(world: World, records: dict[str, Record]) -> list[list[str]]:
    """Tonight's keys, those together that operators merged, be it through a record that is not there tonight."""
    units = {key: {key} for key in records}
    for said in world.said:
        if said.kind == "merge":
            whole = units.get(said.a, {said.a}) | units.get(said.b, {said.b})
            units |= dict.fromkeys(whole, whole)
    return [[key for key in unit if key in records] for unit in {frozenset(unit) for unit in units.values()}]


def _is_patient(record: Record) -> bool:
    return record.kind == "patient"


def _facts(world: World, records: dict[str, Record]) -> list[Fact]:
    """Effective evidence: one fact per record and value, the strongest, without what operators detached."""
    best: dict[tuple[str, str, str], Fact] = {}
    detached = {(said.a, said.b) for said in world.said if said.kind == "detach"}
    for fact in world.facts:
        if not fact.value or (fact.key, fact.value) in detached:
            continue
        place = (fact.key, fact.value_type, fact.value)
        if place not in best or (fact.tier, fact.position) < (best[place].tier, best[place].position):
            best[place] = fact
    return list(best.values())


def states(world: World, config: IdentityConfig) -> dict[tuple[str, str], str]:
    """State of every value that is not ok."""
    records = {record.key: record for record in world.records}
    listed = _state_list(world, records, _facts(world, records), config)
    return {(value_type, value): state for state, value_type, value in listed}


def _person(record: Record) -> tuple[str, str] | None:
    if record.id_number:
        return ("id", record.id_number)
    return ("name", record.name_norm) if record.name_norm else None


def _state_list(
    world: World, records: dict[str, Record], facts: list[Fact], config: IdentityConfig
) -> list[tuple[str, str, str]]:
    stated = []
    said_blocked = {said.a for said in world.said if said.kind == "block"}
    for value_type, value in sorted({(fact.value_type, fact.value) for fact in facts}):
        keys = [fact.key for fact in facts if (fact.value_type, fact.value) == (value_type, value)]
        allowed = value in {said.a for said in world.said if said.kind == "allow"}
        if value in said_blocked or ((value_type, value) in world.blocked and not allowed):
            stated.append(("blocked", value_type, value))
            continue
        if value_type in ("unionid", "binding"):
            continue
        patients = [records[key] for key in keys if records[key].kind == "patient"]
        persons = {_person(record) for record in patients} - {None}
        adults = {_person(record) for record in patients if not record.is_minor} - {None}
        unions = {fact.value for fact in facts if fact.key in keys and fact.value_type == "unionid"}
        crowded = len(persons) > config.hub_persons or len(unions) > config.hub_unions or len(keys) > config.hub_records
        # A single record joins nobody, whatever it carries.
        if crowded and not allowed and len(keys) > 1:
            stated.append(("hub", value_type, value))
        elif len(persons) >= 2:
            owned = len(adults) == 1 or _named_owner(world, value, patients) is not None
            stated.append(("family" if owned else "contested", value_type, value))
    return stated


def _named_owner(world: World, value: str, patients: list[Record]) -> Record | None:
    """The file that an operator made the owner of the value, when it carries the value tonight."""
    files = {record.key: record for record in patients}
    named = sorted((said.id, said.b) for said in world.said if (said.kind, said.a) == ("owner", value))
    return next((files[key] for _, key in named if key in files), None)


def _denied(
    world: World, records: dict[str, Record], facts: list[Fact], config: IdentityConfig
) -> set[tuple[str, str, str]]:
    """Evidence that joins nobody because of what its value is."""
    state = {(value_type, value): kind for kind, value_type, value in _state_list(world, records, facts, config)}
    denied = set()
    for fact in facts:
        record = records[fact.key]
        match state.get((fact.value_type, fact.value)):
            case "blocked" | "hub":
                denied.add((fact.key, fact.value_type, fact.value))
            case "contested" if record.kind == "patient":
                denied.add((fact.key, fact.value_type, fact.value))
            case "family" if record.kind == "patient":
                carriers = [records[f.key] for f in facts if (f.value_type, f.value) == (fact.value_type, fact.value)]
                patients = [carrier for carrier in carriers if carrier.kind == "patient"]
                named = _named_owner(world, fact.value, patients)
                if named is not None:
                    is_owner = record == named or (_person(record) is not None and _person(record) == _person(named))
                else:
                    adults = {_person(c) for c in patients if not c.is_minor} - {None}
                    is_owner = _person(record) in adults or (_person(record) is None and not record.is_minor)
                if not is_owner:
                    denied.add((fact.key, fact.value_type, fact.value))
    return denied
