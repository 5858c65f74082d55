"""`cdp token`, `cdp db`, `cdp audit` and the doctor's look at the store, as an operator types them."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from api.checkup import looks
from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from api.storage.schema import head_revision
from pipelines.cli import app
from pipelines.settings import PipelineSettings
from segment_engine.runtime.secret import tenant_secret
from tests.api.conftest import bearer
from tests.stores import StoreSettings

KEY = re.compile(r"cdp_[0-9a-f]{16}_[0-9a-f]{64}\n")


class Operator:
    """Types commands at one data directory and one store."""

    def __init__(self, data_dir: Path, store: StoreSettings) -> None:
        self.settings = ApiSettings(data_dir=data_dir, rate_limit_per_address=0, **store)
        self._environment = {"CDP_DATA_DIR": str(data_dir), "COLUMNS": "200", "TERM": "dumb"}
        self._environment |= {f"CDP_{name.upper()}": value for name, value in store.items()}

    def types(self, *words: str, **environment: str) -> Result:
        return CliRunner(env=self._environment).invoke(app, [*words], env=environment)

    def makes(self, *words: str) -> str:
        made = self.types("token", "create", *words)
        assert made.exit_code == 0, made.output
        assert KEY.fullmatch(made.stdout)
        return made.stdout.strip()

    def run(self, statement: str) -> None:
        database = Database(self.settings)
        database.write(lambda connection: connection.execute(text(statement)))
        database.close()


@pytest.fixture
def operator(tmp_path: Path, store: StoreSettings) -> Operator:
    return Operator(tmp_path / "data", store)


def me(operator: Operator, key: str) -> Any:
    with TestClient(create_app(operator.settings)) as client:
        answer = client.get("/v1/me", headers=bearer(key))
        return answer.json() if answer.status_code == 200 else answer.status_code


def test_a_key_made_by_hand_opens_the_api(operator: Operator) -> None:
    key = operator.makes("--role", "marketer", "--clinic", "C1", "--clinic", "C2", "--name", "活动")

    mine = me(operator, key)

    assert mine["name"] == "活动"
    assert mine["roles"] == [{"role_id": "marketer", "clinic_id": "C1"}, {"role_id": "marketer", "clinic_id": "C2"}]
    assert "customer.phone.view" not in mine["permissions"]


def test_an_employee_is_one_person_however_many_keys(operator: Operator) -> None:
    first = operator.makes("--staff", "S1", "--role", "doctor", "--clinic", "C1")
    second = operator.makes("--staff", "S1", "--scope", "customer.view", "--expires-days", "3")
    third = operator.makes("--staff", "S1", "--role", "analyst")

    people = [me(operator, key) for key in (first, second, third)]

    assert {one["id"] for one in people} == {people[0]["id"]}
    assert people[0]["staff_id"] == "S1"
    assert people[1]["permissions"] == ["customer.view"]
    assert {role["role_id"] for role in people[2]["roles"]} == {"doctor", "analyst"}


def test_keys_are_listed_without_their_secrets_and_revoked(operator: Operator) -> None:
    key = operator.makes("--role", "analyst")
    _, key_id, secret = key.split("_")

    listed = operator.types("token", "list")
    revoked = operator.types("token", "revoke", key_id)
    again = operator.types("token", "revoke", key_id)

    assert key_id in listed.stdout
    assert "valid" in listed.stdout
    assert secret not in listed.stdout
    assert (revoked.exit_code, again.exit_code) == (0, 1)
    assert "没有未撤销的密钥" in again.stderr
    assert me(operator, key) == 401
    assert "revoked" in operator.types("token", "list").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "请指定 --role"),
        (["--role", "king"], 1, "company_admin"),
        (["--role", "analyst", "--scope", "customer.fly"], 1, "customer.view"),
        (["--staff", "S-nobody"], 1, "尚无此员工账号"),
        (["--role", "analyst", "--expires-days", "0"], 2, "expires-days"),
        (["--patient", "o-nobody"], 1, "未找到该小程序用户"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_in_words(
    operator: Operator, words: list[str], code: int, told: str
) -> None:
    answer = operator.types("token", "create", *words)

    assert answer.exit_code == code
    assert told in answer.stderr
    assert answer.stdout == ""


def test_a_patients_session_can_be_made_without_wechat(own_copy: PipelineSettings) -> None:
    import duckdb  # noqa: PLC0415

    from segment_engine.runtime.published import read_pointer  # noqa: PLC0415

    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file), read_only=True) as con:
        found = con.execute("select openid, patient_id from marts.patient_binding where unbound_at is null").fetchone()
    assert found is not None
    operator = Operator(own_copy.data_dir, {})

    made = operator.types("token", "create", "--patient", found[0])

    with TestClient(create_app(operator.settings)) as client:
        mine = client.get("/v1/patient/me", headers=bearer(made.stdout.strip())).json()
    assert found[1] in {patient["patient_id"] for patient in mine["patients"]}


def test_the_audit_log_is_verified_and_the_first_bad_row_named(operator: Operator) -> None:
    for _ in range(3):
        operator.makes("--role", "analyst")

    whole = operator.types("audit", "verify")
    operator.run("update audit_log set actor_name = 'somebody else' where seq = 2")
    broken = operator.types("audit", "verify")

    assert whole.exit_code == 0
    assert "3 rows stand" in whole.stdout
    assert broken.exit_code == 1
    assert "row 2" in broken.stderr


def test_upgrading_twice_is_upgrading_once_and_status_says_where_it_is(operator: Operator) -> None:
    first = operator.types("db", "upgrade")
    second = operator.types("db", "upgrade")
    status = operator.types("db", "status")

    assert (first.exit_code, second.exit_code, status.exit_code) == (0, 0, 0)
    assert "already there" in second.stdout
    assert head_revision() in status.stdout


def test_in_production_an_old_store_waits_for_the_operator(tmp_path: Path) -> None:
    operator = Operator(tmp_path, {})

    refused = operator.types("token", "create", "--role", "analyst", CDP_ENVIRONMENT="production")
    status = operator.types("db", "status", CDP_ENVIRONMENT="production")
    operator.types("db", "upgrade", CDP_ENVIRONMENT="production")
    made = operator.types("token", "create", "--role", "analyst", CDP_ENVIRONMENT="production")

    assert (refused.exit_code, status.exit_code, made.exit_code) == (1, 1, 0)
    assert "cdp db upgrade" in refused.stderr
    assert "empty" in status.stdout


def test_no_command_shows_a_password_or_a_secret(tmp_path: Path) -> None:
    operator = Operator(tmp_path, {})
    secrets = {
        "CDP_DATABASE_URL": f"postgresql://cdp:geheim99@/cdp?host={tmp_path}",
        "CDP_SECRET_KEY": "geheim99" * 5,
        "CDP_WECHAT_APP_ID": "wx1",
        "CDP_WECHAT_APP_SECRET": "geheim99",
    }
    wrong = {**secrets, "CDP_SECRET_KEY": "geheim99"}

    for words in (["doctor"], ["db", "status"], ["token", "list"], ["db", "upgrade"]):
        for environment in (secrets, wrong):
            answer = operator.types(*words, **environment)
            assert answer.exit_code != 0
            assert "geheim99" not in answer.output
            assert "Traceback" not in answer.output


def test_the_doctor_looks_and_changes_nothing(tmp_path: Path) -> None:
    settings = ApiSettings(data_dir=tmp_path)

    before = {name: look() for name, look in looks(settings).items()}

    assert list(tmp_path.iterdir()) == []
    assert all(well for well, _ in before.values())
    assert not looks(ApiSettings(data_dir=tmp_path, environment="production"))["operational store"]()[0]


def test_the_doctor_finds_what_is_wrong(operator: Operator, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(exist_ok=True)
    tenant_secret(operator.settings)
    look = looks(operator.settings)
    operator.run("delete from role")
    without_roles = look["operational store"]()
    operator.types("db", "upgrade")
    well = look["operational store"]()
    secret_well = look["secret"]()
    operator.settings.folders.secret.chmod(0o640)
    operator.run("update alembic_version set version_num = 'old'")

    assert "cdp db upgrade" in without_roles[1]
    assert (without_roles[0], well[0], secret_well[0]) == (False, True, True)
    assert look["secret"]()[0] is False
    assert "chmod 600" in look["secret"]()[1]
    assert look["operational store"]()[0] is False
    assert stat.S_IMODE(operator.settings.folders.secret.stat().st_mode) == 0o640
    half = operator.settings.model_copy(update={"wechat_app_id": "wx1"})
    assert looks(half)["patients' login"]()[0] is False
