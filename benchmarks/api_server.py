"""The API process that `benchmarks.api` measures: the real application, plus one write and one read."""

import socket
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import Connection, text

from api.access.guard import requires
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.dependencies import CurrentEffects, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.main import create_app
from api.serve import DrainingServer
from api.settings import ApiSettings
from api.shapes import Input, Text
from api.storage.prepared import Prepared

router = PrefixRouter(prefix="/benchmark")
INSERT = Prepared(text("insert into benchmark_effect (id, owner, amount, at) values (:id, :owner, :amount, :at)"))
SELECT = text("select id, owner, amount from benchmark_effect where id = :id")


class Order(Input):
    id: Annotated[str, Text(1, 64)]
    amount: int


class Effect(BaseModel):
    id: str
    owner: str
    amount: int


@router.post("/write", status_code=201)
@requires(Permission.CUSTOMER_VIEW)
async def write(body: Order, effects: CurrentEffects) -> Response:
    caller = effects.caller

    def work(connection: Connection) -> Reply:
        values = {"id": body.id, "owner": caller.id, "amount": body.amount, "at": effects.now.isoformat()}
        INSERT.run(connection, values)
        append(
            connection, caller, Entry("benchmark.write", "effect", body.id, after={"amount": body.amount}),
            now=effects.now,
        )  # fmt: skip
        return Reply(Effect(**values), 201)  # type: ignore[arg-type]

    return await effects.once(work)


@router.get("/read/{effect_id}")
@requires(Permission.CUSTOMER_VIEW)
def read(effect_id: str, store: Store) -> Effect | None:
    with store.read() as connection:
        row = connection.execute(SELECT, {"id": effect_id}).mappings().one_or_none()
    return None if row is None else Effect.model_validate(dict(row))


def main() -> None:
    """Serve `DATA_DIR [DATABASE_URL]` on a port that is printed."""
    address = {"database_url": sys.argv[2]} if len(sys.argv) > 2 else {}
    app = create_app(ApiSettings(data_dir=Path(sys.argv[1]), rate_limit_per_address=0, **address))
    app.include_router(router)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False)
        DrainingServer(config, app, drain_seconds=0).run([listener])


if __name__ == "__main__":
    main()
