"""One effect per Idempotency-Key, on both stores."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Response
from sqlalchemy import Connection, text

from api.caller import Caller
from api.effects import KEEP, Effects, Reply
from api.errors import ConflictError, InvalidError
from api.storage.database import Database
from segment_engine.problems import Problem

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
ANNA, BERTA = Caller("staff", "anna", "Anna"), Caller("staff", "berta", "Berta")


def effects(database: Database, **changed: Any) -> Effects:
    told = {"caller": ANNA, "operation": "issue", "key": "k1", "fingerprint": "f1", "now": NOON, **changed}
    return Effects(database, **told)


def once(effects: Effects, work: Callable[[Connection], Reply]) -> Response:
    return asyncio.run(effects.once(work))


def count(connection: Connection) -> Reply:
    """An effect that can be counted: the head of the audit chain moves."""
    connection.execute(text("update audit_head set seq = seq + 1"))
    return Reply({"done": "好"}, 201, {"Location": "/v1/things/1"})


def counted(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("select seq from audit_head")).scalar_one())


def test_the_same_key_answers_the_same_and_does_nothing_more(database: Database) -> None:
    first = once(effects(database), count)
    second = once(effects(database, now=NOON + timedelta(hours=1)), count)

    assert counted(database) == 1
    assert (first.status_code, first.body) == (second.status_code, second.body) == (201, '{"done":"好"}'.encode())
    assert second.headers["location"] == "/v1/things/1"
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


def test_the_same_key_for_another_request_is_refused_and_does_nothing(database: Database) -> None:
    once(effects(database), count)

    with pytest.raises(InvalidError) as refused:
        once(effects(database, fingerprint="f2"), count)

    assert refused.value.problems[0].code == "idempotency_key_reused"
    assert counted(database) == 1


@pytest.mark.parametrize("other", [{"caller": BERTA}, {"operation": "redeem"}, {"key": "k2"}])
def test_keys_of_other_callers_and_operations_are_other_keys(database: Database, other: dict[str, Any]) -> None:
    once(effects(database), count)
    answer = once(effects(database, **other, fingerprint="f2"), count)

    assert "idempotency-replayed" not in answer.headers
    assert counted(database) == 2


def test_a_failed_effect_leaves_nothing_and_the_key_is_free(database: Database) -> None:
    def fail(connection: Connection) -> Reply:
        count(connection)
        raise ConflictError(Problem("no", "", "否", "No."))

    with pytest.raises(ConflictError):
        once(effects(database), fail)
    answer = once(effects(database), count)

    assert answer.status_code == 201
    assert counted(database) == 1


def test_a_key_is_kept_for_a_day_and_then_free_again(database: Database) -> None:
    once(effects(database), count)
    once(effects(database, now=NOON + KEEP - timedelta(microseconds=1)), count)
    assert counted(database) == 1

    answer = once(effects(database, fingerprint="f2", now=NOON + KEEP), count)

    assert "idempotency-replayed" not in answer.headers
    assert counted(database) == 2


def test_an_answer_without_a_body_stays_without(database: Database) -> None:
    for _ in range(2):
        answer = once(effects(database), lambda _: Reply(status=204))
        assert (answer.status_code, answer.body) == (204, b"")


def test_what_was_answered_is_told_without_doing_anything(database: Database) -> None:
    before = asyncio.run(effects(database).answered())
    done = once(effects(database), count)

    found = asyncio.run(effects(database, now=NOON + timedelta(hours=1)).answered())
    expired = asyncio.run(effects(database, now=NOON + KEEP).answered())

    assert before is None and expired is None and found is not None
    assert (found.status_code, found.body) == (done.status_code, done.body)
    assert found.headers["idempotency-replayed"] == "true"
    assert counted(database) == 1
    with pytest.raises(InvalidError):
        asyncio.run(effects(database, fingerprint="f2").answered())
