"""Which value of an attribute survives, as declared, and which record the survivor is said to be from."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree
from types import MappingProxyType
from typing import Any

import duckdb
import pytest
import yaml
from dbt_common.exceptions import DbtRuntimeError

from pipelines.settings import PipelineSettings
from tests.dbt.conftest import EVERYWHERE, FIRST_NIGHT, PERSONAL_PHONE, first_world
from tests.dbt.factory import assignments, write_raw, write_state
from tests.dbt.runner import PROJECT, Outcome, run_dbt

DECLARED: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"][
    "survivorship"
]
PROFILE = (
    "run",
    "--select",
    "intermediate.identity",
    "intermediate.customer",
    "dim_customer",
    "customer_attribute_origin",
)
FILES_AND_CHANNELS = ["patient:saas:old", "patient:saas:new", *EVERYWHERE[0][1:]]
OLD_PHONE, NEW_PHONE, LEAD_PHONE = "13600000001", "13600000002", "13700000001"

# What each source's records say, read without the models: key, moment, then the attributes by the name of their column.
SAID = {
    "patient": """
        select 'patient:saas:' || patient_id, updated_at, patients.* replace (nullif(gender, '未知') as gender),
            remark as patient_remark, source_level_1 as source_levels, phones.phone
        from warehouse.staging.stg_saas__patients as patients
        left join (
            select patient_id, arg_max(phone, updated_at) as phone from warehouse.staging.stg_saas__patient_phones
            where relation = '本人' and is_primary group by all
        ) as phones using (patient_id)
    """,
    "mini_program_user": """
        select 'mini_program_user:' || app_id || ':' || openid, updated_at, nickname, avatar_url, phone
        from warehouse.staging.stg_mini_program__users
    """,
    "official_account_fan": """
        select 'official_account_fan:' || app_id || ':' || openid, bound_at, phone
        from warehouse.staging.stg_official_account__fan_bindings where unbound_at is null
    """,
    "wecom_contact": """
        select 'wecom_contact:' || corp_id || ':' || external_user_id, updated_at, nickname,
            nullif(gender, '未知') as gender, null as phone
        from warehouse.staging.stg_wecom__external_contacts
        union all by name
        select 'wecom_contact:' || corp_id || ':' || external_user_id, noted_at as updated_at, phone
        from warehouse.staging.stg_wecom__remark_phones
    """,
    "lead": """
        select 'lead:leads:' || lead_id, updated_at, name, phone, nullif(gender, '未知') as gender, clinic_id,
            channel_level_1 as source_levels
        from warehouse.staging.stg_leads__leads
    """,
}
Claims = dict[tuple[int, str], dict[str, list[tuple[Any, str, str]]]]


@pytest.fixture(scope="module")
def night_files(night: PipelineSettings) -> duckdb.DuckDBPyConnection:
    """The shared night's build files, read-only."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'Asia/Shanghai'")
    for name, file in {"warehouse": night.folders.warehouse, "serving": night.folders.marts}.items():
        con.execute(f"attach '{file}' as {name} (read_only)")
    return con


@pytest.fixture(scope="module")
def claims(night_files: duckdb.DuckDBPyConnection) -> Claims:
    """Per customer and attribute: source → (moment, record, text) of every record that says something."""
    customer_of = dict(
        night_files.execute(
            "select identity_key, customer_key from serving.marts.dim_identity where is_present"
        ).fetchall()
    )
    found: Claims = defaultdict(lambda: defaultdict(list))
    for source, query in SAID.items():
        result = night_files.execute(query)
        names = [column[0] for column in result.description or ()][2:]
        for key, moment, *texts in result.fetchall():
            for name, text in zip(names, texts, strict=True):
                if text is not None and key in customer_of and source in DECLARED.get(name, {}).get("sources", ()):
                    found[customer_of[key], name][source].append((moment, key, _told(name, text)))
    return found


def test_every_origin_is_the_newest_record_of_the_most_trusted_source_and_carries_the_value(
    night_files: duckdb.DuckDBPyConnection, claims: Claims
) -> None:
    columns = [name if name != "source_levels" else "source_level_1" for name in DECLARED]
    profiles = {
        row[0]: dict(zip(DECLARED, row[1:], strict=True))
        for row in night_files.execute(
            f"select customer_key, {', '.join(columns)} from serving.marts.dim_customer"
        ).fetchall()
    }
    origins = night_files.execute(
        "select customer_key, attribute, source, identity_key, known_at from serving.marts.customer_attribute_origin"
    ).fetchall()

    assert {(customer, attribute) for customer, attribute, *_ in origins} == set(claims)
    assert len(origins) == len(claims) > 5_000
    assert {source for _, _, source, *_ in origins} == set(SAID)
    for customer, attribute, source, key, known_at in origins:
        said = claims[customer, attribute]
        newest = max(moment for moment, _, _ in said[source])
        value = _told(attribute, profiles[customer][attribute])
        assert source == next(name for name in DECLARED[attribute]["sources"] if said.get(name))
        assert known_at == newest
        assert (newest, key, value) in said[source]


def test_a_value_that_nobody_gave_has_no_origin(night_files: duckdb.DuckDBPyConnection) -> None:
    unknown = night_files.execute(
        """
        select count(*), count(origins.customer_key)
        from serving.marts.dim_customer as customers
        left join serving.marts.customer_attribute_origin as origins
            on customers.customer_key = origins.customer_key and origins.attribute = 'gender'
        where customers.gender = '未知'
        """
    ).fetchone()

    assert unknown is not None
    assert unknown[0] > 0 == unknown[1]


@pytest.fixture(scope="module")
def folder(data_dir: Path, first_night: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customer 0 has two patient files and a lead, each with a phone of its own."""
    copy = tmp_path_factory.mktemp("survivorship") / "data"
    copytree(data_dir, copy)
    world = first_world()
    world["saas__patients"][0] |= {"patient_id": "old", "updated_at": "2026-01-01 00:00:00+08"}
    world["saas__patients"].append({"patient_id": "new", "updated_at": "2026-02-01 00:00:00+08"})
    world["saas__patient_phones"] = [
        {"patient_phone_id": name, "patient_id": name, "phone": phone, "relation": "本人", "is_primary": True}
        for name, phone in {"old": OLD_PHONE, "new": NEW_PHONE}.items()
    ]
    world["leads__leads"][0]["phone"] = LEAD_PHONE
    write_raw(copy / "build" / "warehouse.duckdb", world)
    return copy


@pytest.mark.parametrize(
    ("rule", "phone", "source", "key"),
    [
        ({"sources": ["patient", "lead"], "record": "oldest"}, OLD_PHONE, "patient", "patient:saas:old"),
        ({"sources": ["lead", "patient"], "record": "newest"}, LEAD_PHONE, "lead", "lead:leads:x"),
    ],
)
def test_one_line_changes_whose_phone_survives(
    folder: Path, rule: dict[str, Any], phone: str, source: str, key: str
) -> None:
    assert _phone_shown(folder, "--vars", _declared(phone=rule)) == [(phone, source, key)]


NOT_THEIRS = {
    "patient:saas:new": NEW_PHONE,
    "mini_program_user:x:x": PERSONAL_PHONE,
    "official_account_fan:x:x": PERSONAL_PHONE,
    "wecom_contact:x:x": PERSONAL_PHONE,
    "lead:leads:x": LEAD_PHONE,
}


@pytest.mark.parametrize(
    ("detached", "shown"),
    [
        (NOT_THEIRS, [(OLD_PHONE, "patient", "patient:saas:old")]),
        # Another's number was never this file's: nothing is taken off.
        (
            NOT_THEIRS | {"patient:saas:new": OLD_PHONE, "patient:saas:old": OLD_PHONE},
            [(NEW_PHONE, "patient", "patient:saas:new")],
        ),
        (NOT_THEIRS | {"patient:saas:old": OLD_PHONE}, []),
    ],
)
def test_a_number_that_an_operator_took_off_a_record_is_never_shown_from_it(
    folder: Path, detached: dict[str, str], shown: list[tuple[str, str, str]]
) -> None:
    assert _phone_shown(folder, detached=detached) == shown


def test_a_declaration_that_makes_no_sense_is_refused_with_every_problem(folder: Path) -> None:
    wrong = _declared(city={"sources": ["patient", "lead"], "record": "newest"},
                      phone={"sources": ["patients"], "record": "last"})  # fmt: skip

    with pytest.raises(DbtRuntimeError) as caught:
        run_dbt(folder, "compile", "--select", "dim_customer", "--vars", wrong, as_of=FIRST_NIGHT)

    for words in ("city: lead does not give it", "phone: patients does not give it", "record 只能是 newest 或 oldest"):
        assert words in str(caught.value)


def _phone_shown(
    folder: Path, *arguments: str, detached: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[str, str, str]]:
    """The phone of customer 0, with source and record, once the profiles are built; empty where none is shown."""
    rows = [
        {"id": key, "kind": "detach", "a": key, "b": f"+86{_told('phone', number)}"} for key, number in detached.items()
    ]
    state = {**assignments({0: FILES_AND_CHANNELS}), "identity.override_seen": rows}
    write_state(folder / "build" / "warehouse.duckdb", state)
    outcome = run_dbt(folder, *PROFILE, *arguments, as_of=FIRST_NIGHT)
    assert outcome.with_status("error", "skipped") == set()
    with duckdb.connect(str(folder / "build" / "serving.duckdb"), read_only=True) as con:
        return con.execute(
            """
            select phone, source, identity_key
            from marts.dim_customer as customers
            left join marts.customer_attribute_origin as origins
                on customers.customer_key = origins.customer_key and origins.attribute = 'phone'
            where customers.customer_key = 0 and (phone is not null or identity_key is not null)
            """
        ).fetchall()


def _declared(**changed: dict[str, Any]) -> str:
    return json.dumps({"survivorship": DECLARED | changed})


def _told(attribute: str, value: Any) -> str:
    """A value as it can be compared: a phone by its digits, as sources write it in several ways."""
    return "".join(filter(str.isdigit, value))[-11:] if attribute == "phone" else str(value)
