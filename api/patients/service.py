"""What the patients' routes do."""

import contextlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.links import PatientLinks, unlink
from api.access.sessions import NewSession, Session, linked_patients, make_session, session_owner
from api.audit.log import Entry, append
from api.audit.persons import person_target
from api.caller import Caller
from api.errors import NotPermittedError
from api.patients.repository import keep_account, patient_names, switch_patient
from api.patients.schemas import LinkedPatient, PatientMe
from api.patients.wechat import WeChatUser
from api.storage.database import Database
from segment_engine.problems import Problem
from segment_engine.runtime.published import NothingPublishedError, PublishedReader

NOT_LINKED = Problem(
    "patient_not_linked",
    "/patient_id",
    "该就诊人未与您的账号绑定,请先绑定或重新选择",
    "Your account is not linked with this patient: choose another.",
)


def log_in(database: Database, links: PatientLinks, user: WeChatUser, *, now: datetime) -> tuple[NewSession, Actor]:
    """A new session of the user's account, which is made when it is new; its links follow the published bindings."""
    account_id = database.write(
        lambda connection: keep_account(connection, user.app_id, user.openid, user.unionid, now=now)
    )
    links.follow(account_id, user.app_id, user.openid, now=now)

    def work(connection: Connection) -> tuple[NewSession, Actor]:
        acting = next(iter(linked_patients(connection, account_id)), None)
        made = make_session(connection, account_id, acting, now=now)
        return made, session_owner(connection, Session(made.id, account_id, user.app_id, user.openid, acting))

    return database.write(work)


def me(database: Database, reader: PublishedReader, actor: Actor) -> PatientMe:
    """Whom the account may act for, with their names, and whom it acts for now."""
    with database.read() as connection:
        relations = linked_patients(connection, actor.id)
    names: Mapping[str, str | None] = {}
    with contextlib.suppress(NothingPublishedError), reader.cursor() as (cursor, _):
        names = patient_names(cursor, relations)
    patients = [LinkedPatient(patient_id=of, relation=relations[of], name=names.get(of)) for of in relations]
    acting = next((patient for patient in patients if patient.patient_id == actor.patient_id), None)
    return PatientMe(account_id=actor.id, patient=acting, patients=patients)


def switch(connection: Connection, actor: Actor, patient_id: str) -> None:
    """Act for another patient (切换就诊人); raises NotPermittedError for one who is not linked now."""
    if patient_id not in linked_patients(connection, actor.id):
        raise NotPermittedError(NOT_LINKED)
    switch_patient(connection, actor.credential, patient_id)


def undo_link(
    connection: Connection, actor: Actor, caller: Caller, patient_id: str, *, secret: bytes, now: datetime
) -> None:
    """The account lets go of a patient; it holds until the mini program tells of a later binding."""
    if not unlink(connection, actor.id, patient_id, by=caller.key, now=now):
        raise NotPermittedError(NOT_LINKED)
    append(
        connection, caller, Entry("patient_link.end", "patient", person_target(secret, "patient", patient_id)), now=now
    )
