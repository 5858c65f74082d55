"""Shapes of the patients' routes."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from api.shapes import Input, Text


class LoginInput(Input):
    """What the mini program has after `wx.login`."""

    code: Annotated[str, Text(1, 128), Field(description="The code of wx.login / 登录凭证")]
    app_id: Annotated[
        Annotated[str, Text(1, 64)] | None, Field(description="The mini program's AppID, to notice a mix-up / AppID")
    ] = None


class SwitchInput(Input):
    """Whom to act for from now on."""

    patient_id: Annotated[str, Text(1, 64)]


class LinkedPatient(BaseModel):
    """A patient whom the account may act for; the name is null until a night has published it."""

    patient_id: str
    relation: str
    name: str | None


class PatientMe(BaseModel):
    """The account: whom it may act for, and whom it acts for now (就诊人)."""

    account_id: str
    patient: LinkedPatient | None
    patients: list[LinkedPatient]


class LoggedIn(PatientMe):
    """A new session; the token is shown once and goes into `Authorization: Bearer`."""

    token: str
    expires_at: datetime
