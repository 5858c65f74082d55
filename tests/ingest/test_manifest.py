import copy
import re
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.contracts import load_contracts
from pipelines.ingest.manifest import check_manifest, manifest_document, read_manifest

GOOD = {
    "format": 1,
    "source": "saas",
    "table": "patients",
    "batch_id": "20261120-01",
    "schema_version": 1,
    "window": {"from": "2026-11-20T00:00:00+08:00", "to": "2026-11-21T00:00:00+08:00"},
    "row_count": 3,
    "files": [
        {"name": "part-0001.csv", "format": "csv", "row_count": 1, "bytes": 9, "sha256": "a" * 64},
        {"name": "患者.jsonl", "format": "jsonl", "row_count": 2, "bytes": 9, "sha256": "b" * 64, "encoding": "utf-8"},
    ],
}


def changed(path, value):
    document = copy.deepcopy(GOOD)
    place = document
    *parents, last = path
    for step in parents:
        place = place[step]
    place[last] = value
    return document


def problems(document):
    return [(problem.code, problem.path) for problem in check_manifest(document, contracts=load_contracts())]


def test_a_good_manifest_has_no_problem_and_reads_back_as_itself():
    assert problems(GOOD) == []
    assert manifest_document(read_manifest(GOOD)) == GOOD
    redacted = GOOD | {"redacted": {"erased_rows": 2}}
    assert problems(redacted) == []
    assert manifest_document(read_manifest(redacted)) == redacted


def test_business_day_is_the_local_day_of_the_last_instant_of_the_window():
    manifest = read_manifest(GOOD)

    assert manifest.business_day(ZoneInfo("Asia/Shanghai")) == date(2026, 11, 20)
    assert manifest.business_day(ZoneInfo("Pacific/Auckland")) == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["format"], 2, ("wrong_value", "/format")),
        (["redacted"], {"erased_rows": -1}, ("wrong_value", "/redacted")),
        (["redacted"], True, ("wrong_value", "/redacted")),
        (["source"], None, ("wrong_value", "/source")),
        (["table"], "patient", ("unknown_table", "/table")),
        (["schema_version"], 2, ("unsupported_schema_version", "/schema_version")),
        (["batch_id"], "../x", ("wrong_value", "/batch_id")),
        (["row_count"], True, ("wrong_value", "/row_count")),
        (["row_count"], 4, ("row_count_mismatch", "/row_count")),
        (["surprise"], 4, ("unknown_key", "/surprise")),
        (["window"], [], ("wrong_value", "/window")),
        (["window", "from"], "2026-11-20T00:00:00", ("wrong_value", "/window/from")),
        (["window", "to"], "2026-11-20T00:00:00+08:00", ("wrong_value", "/window/to")),
        (["files"], {}, ("wrong_value", "/files")),
        (["files", 0, "name"], "../../etc/passwd", ("wrong_value", "/files/0/name")),
        (["files", 0, "name"], "*.csv", ("wrong_value", "/files/0/name")),
        (["files", 0, "name"], "_manifest.json", ("wrong_value", "/files/0/name")),
        (["files", 1, "name"], "part-0001.csv", ("wrong_value", "/files/1/name")),
        (["files", 0, "format"], "xml", ("wrong_value", "/files/0/format")),
        (["files", 0, "sha256"], "A" * 64, ("wrong_value", "/files/0/sha256")),
        (["files", 0, "bytes"], -1, ("wrong_value", "/files/0/bytes")),
        (["files", 0, "encoding"], "latin-1", ("wrong_value", "/files/0/encoding")),
        (["files", 1, "format"], "parquet", ("wrong_value", "/files/1/encoding")),
    ],
)
def test_one_wrong_entry_is_named_by_code_and_place(path, value, expected):
    assert problems(changed(path, value)) == [expected]


def test_every_problem_is_told_at_once():
    document = changed(["format"], 9)
    document["files"][0] = {"name": "a.csv", "format": "csv", "row_count": 1, "bytes": "many"}
    del document["window"]

    assert problems(document) == [
        ("missing_key", "/window"),
        ("wrong_value", "/format"),
        ("missing_key", "/files/0/sha256"),
        ("wrong_value", "/files/0/bytes"),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *([key] for key in GOOD),
    *(["window", key] for key in GOOD["window"]),
    *(["files", 1, key] for key in GOOD["files"][1]),
]


@given(path=st.sampled_from(PLACES), value=json_values)
def test_whatever_stands_in_one_place_is_refused_or_readable(path, value):
    document = changed(path, value)

    found = check_manifest(document, contracts=load_contracts())

    if not found:
        read_manifest(document)
    for problem in found:
        assert problem.message_zh
        assert problem.message_en
        assert not re.search(r"\{\w*\}", problem.code + problem.path)


@given(json_values)
def test_a_document_of_any_shape_is_refused_with_a_problem(document):
    assert check_manifest(document, contracts=load_contracts())
