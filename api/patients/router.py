"""`/v1/patient`: what the mini program asks for its user."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Path, Request

from api.access.credentials import Credentials
from api.access.guard import CurrentActor, for_patients, public
from api.access.sessions import revoke_session
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentCaller, Reader, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.errors import InvalidError
from api.patients import service
from api.patients.schemas import LoggedIn, LoginInput, PatientMe, SwitchInput
from api.patients.wechat import exchange_code
from api.shapes import Text
from segment_engine.problems import Problem
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/patient", tags=["patients"])

OTHER_APP = Problem("unknown_app", "/app_id", "不是本服务的小程序 AppID", "This is not the mini program served here.")


async def credentials(request: Request) -> Credentials:
    """What knows who is asking."""
    known: Credentials = request.app.state.credentials
    return known


@router.post("/sessions", status_code=201, responses=answers(403))
@public
def create_session(
    body: LoginInput,
    settings: Settings,
    store: Store,
    reader: Reader,
    known: Annotated[Credentials, Depends(credentials)],
) -> LoggedIn:
    """Log in with the code of `wx.login`; the first login makes the account / 小程序登录.

    No Idempotency-Key: WeChat takes a code once, so a repeated request is refused and does nothing.
    """
    if body.app_id is not None and settings.wechat_app_id is not None and body.app_id != settings.wechat_app_id:
        raise InvalidError(OTHER_APP)
    user = exchange_code(settings, body.code)
    session, actor = service.log_in(store, known.links, user, now=now())
    me = service.me(store, reader, actor)
    return LoggedIn(**dict(me), token=session.text, expires_at=session.expires_at)


@router.delete("/sessions/current", status_code=204)
@for_patients
def end_session(actor: CurrentActor, store: Store) -> None:
    """Log out: the token lets nobody in any more / 退出登录."""
    store.write(lambda connection: revoke_session(connection, actor.credential, now=now()))


@router.get("/me")
@for_patients
def read_patient_me(actor: CurrentActor, store: Store, reader: Reader) -> PatientMe:
    """Whom the account may act for, and whom it acts for now / 我的就诊人."""
    return service.me(store, reader, actor)


@router.put("/me/patient")
@for_patients
def switch_patient(body: SwitchInput, actor: CurrentActor, store: Store, reader: Reader) -> PatientMe:
    """Act for another patient of the account from now on; of this session only, so without a version / 切换就诊人."""
    store.write(lambda connection: service.switch(connection, actor, body.patient_id))
    return service.me(store, reader, replace(actor, patient_id=body.patient_id))


@router.delete("/me/patients/{patient_id}", status_code=204)
@for_patients
def unlink_patient(
    patient_id: Annotated[str, Path(), Text(1, 64)],
    actor: CurrentActor,
    caller: CurrentCaller,
    store: Store,
    settings: Settings,
) -> None:
    """Let go of a patient; sent twice it is refused and does nothing more / 解绑就诊人."""
    secret = tenant_secret(settings)
    store.write(lambda connection: service.undo_link(connection, actor, caller, patient_id, secret=secret, now=now()))
