"""Who is in the sample: families and their phones, duplicates, WeChat accounts; the truth knows all of them."""

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.sample.accounts import FAN_APPS

from .conftest import CUSTOMERS, Landed

Tables = dict[str, pl.DataFrame]
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def read_truth(landed: Landed) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pq.read_table(landed.root / "sample_truth/truth.parquet")))


@pytest.fixture(scope="module")
def truth(clean: Landed) -> pl.DataFrame:
    return read_truth(clean)


def identity_keys(tables: Tables) -> set[str]:
    fans, users = tables["official_account/fans"], tables["mini_program/users"]
    contacts = tables["wecom/external_contacts"]
    return {
        *(f"patient:saas:{p}" for p in tables["saas/patients"]["patient_id"]),
        *(f"official_account_fan:{a}:{o}" for a, o in fans.select("app_id", "openid").rows()),
        *(f"mini_program_user:{a}:{o}" for a, o in users.select("app_id", "openid").rows()),
        *(f"wecom_contact:{c}:{e}" for c, e in contacts.select("corp_id", "external_user_id").rows()),
        *(f"lead:leads:{lead}" for lead in tables["leads/leads"]["lead_id"]),
    }


def with_person(tables: Tables, truth: pl.DataFrame) -> pl.DataFrame:
    keyed = truth.filter(pl.col("kind") == "patient").with_columns(
        patient_id=pl.col("key").str.strip_prefix("patient:saas:")
    )
    return tables["saas/patients"].join(keyed, on="patient_id")


def test_the_truth_knows_every_identity_once(tables: Tables, truth: pl.DataFrame):
    assert truth["key"].is_unique().all()
    assert set(truth["key"]) == identity_keys(tables)


def test_every_customer_has_an_identity_and_not_every_one_is_a_patient(truth: pl.DataFrame):
    patients = truth.filter(pl.col("kind") == "patient")["person_id"].n_unique()

    assert truth["person_id"].n_unique() == CUSTOMERS
    assert 0.6 * CUSTOMERS < patients < 0.85 * CUSTOMERS


def test_guardians_act_for_children_without_being_patients(truth: pl.DataFrame):
    guardians = set(truth.filter("is_guardian_contact")["person_id"])

    assert guardians
    assert not guardians & set(truth.filter(pl.col("kind") == "patient")["person_id"])


def test_some_persons_have_two_files_in_different_clinics_with_one_name(tables: Tables, truth: pl.DataFrame):
    files = with_person(tables, truth)

    twins = files.group_by("person_id").agg(pl.col("name"), pl.col("clinic_id").n_unique(), n=pl.len())
    twins = twins.filter(pl.col("n") == 2)

    assert 0.02 < len(twins) / files["person_id"].n_unique() < 0.06
    assert (twins["clinic_id"] == 2).all()
    same = twins.filter(pl.col("name").list.n_unique() == 1)
    assert 0.8 < len(same) / len(twins) < 1


def test_own_phones_are_shared_by_families_desks_and_strangers(tables: Tables, truth: pl.DataFrame):
    own = tables["saas/patient_phones"].filter((pl.col("relation") == "本人") & pl.col("is_primary"))
    shared = (
        own.join(with_person(tables, truth), on="patient_id")
        .group_by("phone")
        .agg(pl.col("person_id").n_unique(), pl.col("household_id").n_unique())
    )
    staff = set(tables["saas/staff"]["phone"])

    families = shared.filter((pl.col("person_id") > 1) & (pl.col("household_id") == 1))
    handed_on = shared.filter((pl.col("household_id") == 2) & ~pl.col("phone").is_in(list(staff)))
    hubs = shared.filter(pl.col("household_id") > 5)

    assert len(families) > 0.02 * CUSTOMERS
    assert len(handed_on) > 0
    assert len(hubs) >= len(tables["saas/clinics"]) - 1


def test_children_carry_a_parents_phone_under_the_right_and_the_wrong_name(tables: Tables, truth: pl.DataFrame):
    files = with_person(tables, truth).filter(pl.col("patient_type") == "儿牙患者")
    first = tables["saas/patient_phones"].filter("is_primary").join(files, on="patient_id")

    shares = dict(first["relation"].value_counts(normalize=True).rows())

    assert 0.4 < shares["父亲"] + shares["母亲"] < 0.75
    assert 0.25 < shares["本人"] < 0.5


def test_no_file_has_two_own_primary_phones(tables: Tables):
    own = tables["saas/patient_phones"].filter((pl.col("relation") == "本人") & pl.col("is_primary"))

    assert own["patient_id"].is_unique().all()


def test_a_unionid_is_one_persons_and_is_shared_by_the_accounts(tables: Tables, truth: pl.DataFrame):
    kinds = {
        "official_account_fan": tables["official_account/fans"].select("unionid", scope="app_id", id="openid"),
        "mini_program_user": tables["mini_program/users"].select("unionid", scope="app_id", id="openid"),
        "wecom_contact": tables["wecom/external_contacts"].select("unionid", scope="corp_id", id="external_user_id"),
    }
    keyed = [f.with_columns(key=pl.concat_str([pl.lit(k), "scope", "id"], separator=":")) for k, f in kinds.items()]
    accounts = pl.concat(keyed).join(truth, on="key")

    told = accounts.filter(pl.col("unionid").is_not_null())
    unions = told.group_by("unionid").agg(pl.col("person_id").n_unique(), pl.col("kind").n_unique())

    assert 0.05 < 1 - len(told) / len(accounts) < 0.4
    assert (unions["person_id"] == 1).all()
    assert (unions["kind"] == 3).sum() > 0
    assert (told.group_by("person_id").agg(pl.col("unionid").n_unique())["unionid"] == 2).any()


def test_fans_of_the_other_brand_share_no_unionid(tables: Tables):
    fans = tables["official_account/fans"].filter(pl.col("app_id") == FAN_APPS[1])

    assert len(fans) > 0
    assert fans["unionid"].null_count() == len(fans)


def test_two_employees_may_note_different_phones_of_one_contact(tables: Tables):
    noted = tables["wecom/remark_phones"].group_by("external_user_id").agg(pl.col("phone").n_unique())

    assert (noted["phone"] == 2).any()
    assert (noted["phone"] == 1).mean() > 0.8


def test_id_numbers_fit_birthday_gender_and_check_character(tables: Tables):
    patients = tables["saas/patients"].filter(pl.col("id_number").is_not_null() & pl.col("birth_date").is_not_null())

    for number, born, gender in patients.select("id_number", "birth_date", "gender").rows():
        total = sum(int(digit) * weight for digit, weight in zip(number[:17], _ID_WEIGHTS, strict=True))
        assert number[17] == "10X98765432"[total % 11]
        assert number[6:14] == f"{born:%Y%m%d}"
        assert gender == "未知" or (int(number[16]) % 2 == 1) == (gender == "男")


def test_leads_convert_to_files_made_after_them_or_never_become_patients(tables: Tables):
    leads = tables["leads/leads"]
    warm = leads.filter(pl.col("converted_patient_id").is_not_null())

    assert 0.2 < len(warm) / len(leads) < 0.8
    assert (warm["created_at"] < warm["converted_at"]).all()
    assert (warm["status"] == "已转化").all()


def test_planted_identities_are_in_the_truth_too(dirty: Landed, small: Landed):
    extra = set(read_truth(dirty)["key"]) - set(read_truth(small)["key"])

    assert {key.split(":")[0] for key in extra} == {"patient", "lead"}
