"""After an upgrade and before its first night, what is served was published by the release before."""

import time

import duckdb

from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.audiences.asking import all_of, is_, send
from tests.api.conftest import MakeClient
from tests.api.probe import found

WOMEN = all_of(is_("gender", "eq", "女"))


def test_calculations_and_the_log_say_to_run_the_first_night(
    own_copy: PipelineSettings, make_client: MakeClient
) -> None:
    file = own_copy.folders.published / read_pointer(own_copy.folders).file
    with duckdb.connect(str(file)) as con:
        con.execute("alter table marts.one_id_alias drop column old_customer_key")
        con.execute("drop table if exists marts.smart_audience_change cascade")
    client = make_client()

    made = send(client, "POST", "/v1/segments", {"is_smart": True, "name": "女", "filter": WOMEN})
    while (job := client.get(f"/v1/jobs/{made['calculation']}").json())["status"] in ("queued", "running"):
        time.sleep(0.02)
    log = client.get("/v1/audiences/log", params={"name": "王"})

    assert [problem["code"] for problem in job["problems"]] == ["earlier_release"]
    assert (log.status_code, found(log)) == (503, {("earlier_release", "")})
