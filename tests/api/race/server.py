"""An API process for race tests: the real application, plus coupons issued the right way and the naive way.

`python -m tests.api.race.server DATA_DIR [DATABASE_URL]` prints its port and serves until it is killed.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import APIRouter, Response
from sqlalchemy import Connection, text

from api.access.guard import for_staff
from api.audit.log import Entry, append
from api.dependencies import CurrentCaller, CurrentEffects, Store
from api.effects import Reply
from api.errors import ConflictError
from api.main import create_app
from api.settings import ApiSettings
from api.shapes import Input
from segment_engine.problems import Problem

router = APIRouter(prefix="/race")
# The process that is started again after a crash lives.
SURVIVES = "CDP_TEST_SURVIVES" in os.environ
SOLD_OUT = Problem("sold_out", "", "已领完", "None are left.")


class Claim(Input):
    coupon: str


@router.post("/coupons")
@for_staff
async def issue(body: Claim, effects: CurrentEffects, caller: CurrentCaller) -> Response:
    def work(connection: Connection) -> Reply:
        taken = connection.execute(text("update race_cap set issued = issued + 1 where issued < cap"))
        if taken.rowcount == 0:
            raise ConflictError(SOLD_OUT)
        connection.execute(text("insert into race_coupon (claim) values (:claim)"), {"claim": body.coupon})
        append(connection, caller, Entry("race.issue", "coupon", body.coupon), now=effects.now)
        return Reply({"coupon": body.coupon}, 201)

    return await effects.once(work)


@router.post("/coupons/killed-{moment}")
@for_staff
async def issue_and_die(moment: Literal["before", "after"], body: Claim, effects: CurrentEffects) -> Response:
    """The machine fails in the worst moment: just before the commit, or just after it, before anybody was told."""

    def work(connection: Connection) -> Reply:
        connection.execute(text("update race_cap set issued = issued + 1"))
        connection.execute(text("insert into race_coupon (claim) values (:claim)"), {"claim": body.coupon})
        if moment == "before" and not SURVIVES:
            os.kill(os.getpid(), signal.SIGKILL)
        return Reply({"coupon": body.coupon}, 201)

    answer = await effects.once(work)
    if moment == "after" and not SURVIVES:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


@router.post("/naive-coupons")
@for_staff
def issue_naively(body: Claim, store: Store) -> Any:
    """What everybody writes first: look, decide, insert; no lock, no condition, no key."""
    with store.engine.connect() as connection, connection.begin():
        cap = connection.execute(text("select cap from race_cap")).scalar_one()
        issued = connection.execute(text("select count(*) from race_coupon")).scalar_one()
        if issued >= cap:
            raise ConflictError(SOLD_OUT)
        connection.execute(text("insert into race_coupon (claim) values (:claim)"), {"claim": body.coupon})
        connection.execute(text("update race_cap set issued = :issued"), {"issued": issued + 1})
    return Response(status_code=201)


def main() -> None:
    address = {"database_url": sys.argv[2]} if len(sys.argv) > 2 else {}
    app = create_app(ApiSettings(data_dir=Path(sys.argv[1]), rate_limit_per_address=0, **address))
    app.include_router(router)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listener])


if __name__ == "__main__":
    main()
