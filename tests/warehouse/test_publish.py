"""Publishing: pointer, versions, retention, and what a crash may leave behind."""

import json
import os
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from pipelines.settings import PipelineSettings
from pipelines.warehouse import publish
from pipelines.warehouse.publish import (
    Publication,
    content_facts,
    current_pointer,
    kept_versions,
    publish_marts,
    remove_old_versions,
)
from segment_engine.runtime import published
from segment_engine.runtime.published import NothingPublishedError, PublishedReader, read_pointer

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 21, 0, 40, tzinfo=ZONE)
DAY = date(2026, 11, 20)


def build_marts(settings: PipelineSettings, *, names: list[str]) -> None:
    settings.folders.build.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.folders.marts)) as con:
        con.execute(
            "create schema if not exists marts; create schema if not exists analyst; create schema if not exists meta"
        )
        con.execute("create or replace table marts.dim_customer (customer_key integer, name varchar)")
        con.executemany("insert into marts.dim_customer values (?, ?)", list(enumerate(names)))
        con.execute(
            "create or replace view analyst.dim_customer as select customer_key, '*' as name from marts.dim_customer"
        )


def publish_now(
    settings: PipelineSettings,
    *,
    day: date = DAY,
    fingerprint: str = "f",
    catalog: str = "{}",
    now: datetime = NOW,
    run_id: str = "r",
    anew: bool = False,
    count_anew: bool = False,
) -> Publication:
    return publish_marts(
        settings,
        run_id=run_id,
        as_of=day,
        now=now,
        fingerprint=fingerprint,
        catalog_json=catalog,
        anew=anew,
        count_anew=count_anew,
    )


def test_the_pointer_tells_what_the_file_holds(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王", "李"])

    pointer = publish_now(empty_settings).pointer

    file = empty_settings.folders.published / pointer.file
    assert pointer == read_pointer(empty_settings.folders)
    assert (pointer.version, pointer.as_of, pointer.row_counts) == ("20261120-01", DAY, {"marts.dim_customer": 2})
    assert content_facts(file, timezone="Asia/Shanghai") == (pointer.row_counts, pointer.content_hashes)
    with duckdb.connect(str(file), read_only=True) as con:
        assert con.execute("select version, as_of from meta.publication").fetchall() == [("20261120-01", DAY)]
        assert con.execute("select * from analyst.dim_customer order by all").fetchall() == [(0, "*"), (1, "*")]


def test_equal_content_of_the_same_day_is_not_published_again(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王", "李"])
    first = publish_now(empty_settings)
    build_marts(empty_settings, names=["王", "李"])

    second = publish_now(empty_settings, fingerprint="other")

    assert (first.status, second.status) == ("published", "unchanged")
    assert second.pointer.version == first.pointer.version
    assert read_pointer(empty_settings.folders).fingerprint == "other"


@pytest.mark.parametrize(
    "change",
    [
        "create or replace view analyst.dim_customer as select customer_key, name from marts.dim_customer",
        "comment on view analyst.dim_customer is '客户'",
        "comment on column analyst.dim_customer.name is '姓名'",
        "comment on table marts.dim_customer is '客户'",
        "comment on column marts.dim_customer.name is '姓名'",
        "alter table marts.dim_customer rename name to full_name",
        "alter table marts.dim_customer alter customer_key type bigint",
    ],
)
def test_what_a_reader_sees_besides_the_rows_is_published_when_it_changes(
    empty_settings: PipelineSettings, change: str
) -> None:
    build_marts(empty_settings, names=["王", "李"])
    publish_now(empty_settings)
    with duckdb.connect(str(empty_settings.folders.marts)) as con:
        con.execute(change)

    assert publish_now(empty_settings).status == "published"
    assert publish_now(empty_settings).status == "unchanged"


def test_a_view_has_one_hash_whatever_order_its_file_gives_its_lists_back_in(empty_settings: PipelineSettings) -> None:
    names = [f"c{number}" for number in range(30)]
    build_marts(empty_settings, names=["王"])
    with duckdb.connect(str(empty_settings.folders.marts)) as con:
        con.execute(f"create table marts.wide as select {', '.join(f'1 as {name}' for name in names)}")
        masks = ", ".join(f"concat('(,''\"', {name}) as {name}" for name in names[15:])
        con.execute(
            f"create view analyst.wide as select * exclude ({', '.join(names[:15])}) replace ({masks}) from marts.wide"
        )

    pointer = publish_now(empty_settings).pointer

    file = empty_settings.folders.published / pointer.file
    assert content_facts(file, timezone="Asia/Shanghai") == (pointer.row_counts, pointer.content_hashes)
    assert publish_now(empty_settings).status == "unchanged"


def test_masks_that_change_places_are_a_change(empty_settings: PipelineSettings) -> None:
    hashes = []
    for masks in (
        "left(name, 1) as name, 0 as customer_key",
        "left(customer_key::varchar, 1) as name, 0 as customer_key",
    ):
        build_marts(empty_settings, names=["王"])
        with duckdb.connect(str(empty_settings.folders.marts)) as con:
            con.execute(f"create or replace view analyst.masked as select * replace ({masks}) from marts.dim_customer")
        hashes.append(publish_now(empty_settings).pointer.content_hashes["analyst.masked"])

    assert len(set(hashes)) == 2


def test_a_changed_catalogue_is_published_and_so_is_a_lost_one(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)

    changed = publish_now(empty_settings, catalog='{"format": 1}')
    (empty_settings.folders.published / changed.pointer.catalog_file).unlink()

    assert changed.status == "published"
    assert publish_now(empty_settings, catalog='{"format": 1}').status == "published"


def test_changed_content_gets_a_new_name(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)
    build_marts(empty_settings, names=["王", "张"])

    assert publish_now(empty_settings).pointer.version == "20261120-02"
    assert publish_now(empty_settings, day=DAY + timedelta(days=1)).pointer.version == "20261121-01"


def test_content_hash_ignores_the_order_of_rows_and_sees_every_value(
    empty_settings: PipelineSettings, tmp_path: Path
) -> None:
    hashes = []
    for names in (["王", "李"], ["李", "王"], ["王", "刘"]):
        settings = PipelineSettings(data_dir=tmp_path / "-".join(names))
        settings.folders.build.mkdir(parents=True)
        with duckdb.connect(str(settings.folders.marts)) as con:
            con.execute("create schema marts; create table marts.t (name varchar)")
            con.executemany("insert into marts.t values (?)", [[name] for name in names])
        hashes.append(content_facts(settings.folders.marts, timezone="Asia/Shanghai")[1])

    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("crash_at", ["_copy_durably", "_write_atomically"])
def test_a_crash_while_publishing_leaves_the_served_version_in_place(
    empty_settings: PipelineSettings, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    build_marts(empty_settings, names=["王"])
    before = publish_now(empty_settings).pointer
    build_marts(empty_settings, names=["王", "张"])

    def crash(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publish, crash_at, crash)
        with pytest.raises(KeyboardInterrupt):
            publish_now(empty_settings)

    assert read_pointer(empty_settings.folders) == before
    assert publish_now(empty_settings).pointer.row_counts == {"marts.dim_customer": 2}


def test_a_reader_keeps_its_version_until_it_is_done_and_then_sees_the_new_one(
    empty_settings: PipelineSettings,
) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)
    reader = PublishedReader(empty_settings.folders, timezone="Asia/Shanghai")

    def count(cursor: duckdb.DuckDBPyConnection) -> list[tuple[int]]:
        return cursor.execute("select count(*) from marts.dim_customer").fetchall()

    with reader.cursor() as (old, _):
        build_marts(empty_settings, names=["王", "张"])
        publish_now(empty_settings)
        with reader.cursor() as (new, pointer):
            assert (count(old), count(new), pointer.version) == ([(1,)], [(2,)], "20261120-02")
        assert count(old) == [(1,)]
    reader.close()


def test_the_reader_cannot_reach_other_files(empty_settings: PipelineSettings, tmp_path: Path) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    reader = PublishedReader(empty_settings.folders, timezone="Asia/Shanghai")

    with reader.cursor() as (cursor, _):
        for statement in (
            f"from read_csv('{secret}')",
            f"attach '{tmp_path}/x.db'",
            "insert into marts.dim_customer values (9, 'x')",
        ):
            with pytest.raises(duckdb.Error):
                cursor.execute(statement)


def test_retention_keeps_the_newest_and_the_served_and_the_young(empty_settings: PipelineSettings) -> None:
    for number in range(5):
        build_marts(empty_settings, names=["王"] * (number + 1))
        pointer = publish_now(empty_settings, count_anew=True).pointer
        file = empty_settings.folders.published / pointer.file
        age = NOW.timestamp() - (5 - number) * 3600
        os.utime(file, (age, age))

    young = remove_old_versions(empty_settings, now=NOW - timedelta(hours=4, minutes=55))
    deleted = remove_old_versions(empty_settings, now=NOW)

    assert young == []
    assert [name[:17] for name in deleted] == ["marts-20261120-02", "marts-20261120-01"]
    assert kept_versions(empty_settings.folders) == [f"20261120-0{number}" for number in (3, 4, 5)]


def test_a_version_served_for_a_day_outlives_its_successors_publication_by_the_grace_time(
    empty_settings: PipelineSettings,
) -> None:
    settings = empty_settings.model_copy(update={"keep_versions": 1})
    build_marts(settings, names=["王"])
    first = publish_now(settings).pointer
    build_marts(settings, names=["王", "张"])
    published = NOW + timedelta(days=1)
    publish_now(settings, now=published, count_anew=True)

    at_once = remove_old_versions(settings, now=published)
    later = remove_old_versions(settings, now=published + timedelta(minutes=settings.keep_grace_minutes, seconds=1))

    assert (at_once, later) == ([], [first.file])


def test_runs_of_a_day_are_compared_with_the_last_of_an_earlier_day_or_what_was_accepted_since(
    empty_settings: PipelineSettings,
) -> None:
    def run(day: date, *, anew: bool = False, accepted: bool = False) -> tuple[str, str]:
        build_marts(empty_settings, names=[str(len(versions))])
        pointer = publish_now(empty_settings, day=day, anew=anew, count_anew=accepted).pointer
        versions[pointer.file] = pointer.version
        return pointer.version, versions[pointer.breaker_base or pointer.file]

    versions: dict[str, str] = {}
    later = DAY + timedelta(days=3)

    assert run(DAY) == ("20261120-01", "20261120-01")
    assert run(DAY) == ("20261120-02", "20261120-01")
    assert run(later) == ("20261123-01", "20261120-02")
    assert run(later) == ("20261123-02", "20261120-02")
    assert run(later, accepted=True) == ("20261123-03", "20261123-03")
    assert run(later) == ("20261123-04", "20261123-03")
    # Versions of before an erasure are removed.
    assert run(later, anew=True) == ("20261123-05", "20261123-05")
    assert run(later) == ("20261123-06", "20261123-05")


def test_what_is_accepted_though_it_changed_nothing_is_compared_with_from_then_on(
    empty_settings: PipelineSettings,
) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings, day=DAY - timedelta(days=1))
    build_marts(empty_settings, names=["李"])
    before = publish_now(empty_settings).pointer
    build_marts(empty_settings, names=["李"])

    after = publish_now(empty_settings, count_anew=True)

    assert (after.status, before.breaker_base is None, after.pointer.breaker_base) == ("unchanged", False, None)


def test_retention_keeps_the_version_that_todays_runs_are_compared_with(empty_settings: PipelineSettings) -> None:
    settings = empty_settings.model_copy(update={"keep_versions": 1, "keep_grace_minutes": 0})
    for number, day in enumerate((DAY - timedelta(days=1), DAY, DAY, DAY)):
        build_marts(settings, names=[str(number)])
        publish_now(settings, day=day, now=NOW + timedelta(minutes=number))

    remove_old_versions(settings, now=NOW + timedelta(days=1))

    assert kept_versions(settings.folders) == ["20261119-01", "20261120-03"]


def test_a_pointer_of_an_earlier_release_is_read(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王"])
    pointer = publish_now(empty_settings).pointer
    fields = json.loads(pointer.to_json())
    del fields["breaker_base"]

    (empty_settings.folders.published / "CURRENT").write_text(json.dumps(fields), encoding="utf-8")

    assert read_pointer(empty_settings.folders) == pointer


@pytest.mark.parametrize("reader", ["open_current", "PublishedReader"])
def test_a_reader_whose_version_is_removed_before_it_is_opened_takes_the_next(
    empty_settings: PipelineSettings, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    build_marts(empty_settings, names=["王"])
    gone = publish_now(empty_settings).pointer
    build_marts(empty_settings, names=["王", "张"])
    publish_now(empty_settings)
    (empty_settings.folders.published / gone.file).unlink()
    pointers = iter([gone, read_pointer(empty_settings.folders)])
    monkeypatch.setattr(published, "read_pointer", lambda _: next(pointers))

    if reader == "open_current":
        con, pointer = published.open_current(empty_settings.folders, timezone="Asia/Shanghai")
        con.close()
    else:
        with PublishedReader(empty_settings.folders, timezone="Asia/Shanghai").cursor() as (_, pointer):
            pass

    assert pointer.version == "20261120-02"


def test_a_version_number_that_is_given_out_again_is_never_read_from_the_old_file(
    empty_settings: PipelineSettings,
) -> None:
    reader = PublishedReader(empty_settings.folders, timezone="Asia/Shanghai")
    build_marts(empty_settings, names=["王"])
    before = publish_now(empty_settings).pointer

    def names(cursor: duckdb.DuckDBPyConnection) -> list[tuple[str]]:
        return cursor.execute("select name from marts.dim_customer").fetchall()

    with reader.cursor() as (old, _):
        shutil.rmtree(empty_settings.folders.published)
        build_marts(empty_settings, names=["张"])
        after = publish_now(empty_settings, run_id="s").pointer
        with reader.cursor() as (new, pointer):
            assert (names(old), names(new), pointer) == ([("王",)], [("张",)], after)
    reader.close()

    assert after.version == before.version


def test_leftovers_of_a_killed_publish_are_removed(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)
    leftover = empty_settings.folders.published / ".marts-20261120-02.duckdb.tmp"
    leftover.write_bytes(b"half")

    assert remove_old_versions(empty_settings, now=NOW) == [leftover.name]
    assert not leftover.exists()


def test_without_a_version_the_error_says_what_to_do(empty_settings: PipelineSettings) -> None:
    assert current_pointer(empty_settings.folders) is None
    with pytest.raises(NothingPublishedError, match="cdp nightly"):
        read_pointer(empty_settings.folders)


def test_the_pointer_is_readable_json(empty_settings: PipelineSettings) -> None:
    build_marts(empty_settings, names=["王"])
    publish_now(empty_settings)

    fields = json.loads((empty_settings.folders.published / "CURRENT").read_text(encoding="utf-8"))

    assert {"version", "file", "run_id", "as_of", "row_counts", "sha256"} <= fields.keys()
