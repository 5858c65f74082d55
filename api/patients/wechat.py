"""The mini program's login at WeChat: a code becomes an openid (jscode2session).

Codes, secrets and session keys are never logged and never stand in an answer; the session key is not even kept.
"""

from dataclasses import dataclass
from typing import Any

import httpx2
import structlog

from api.errors import ApiError, InvalidError, NotPermittedError, NotReadyError
from api.settings import ApiSettings
from segment_engine.problems import Problem

TIMEOUT_SECONDS = 5.0

NOT_CONFIGURED = Problem(
    "login_not_configured",
    "",
    "患者登录尚未配置:请设置 CDP_WECHAT_APP_ID 与 CDP_WECHAT_APP_SECRET",
    "Patients cannot log in yet: set CDP_WECHAT_APP_ID and CDP_WECHAT_APP_SECRET.",
)
UNREACHABLE = Problem("wechat_unreachable", "", "微信登录服务暂不可用,请稍后重试", "WeChat does not answer; try again.")
REFUSES_US = Problem(
    "login_misconfigured",
    "",
    "微信拒绝了本服务的凭证,请联系管理员",
    "WeChat refuses this service's own credentials; the log has the number of the error.",
)
WRONG_CODE = Problem(
    "login_code_invalid", "/code", "登录凭证无效或已使用,请重新登录", "The code is wrong, expired or was used already."
)
BLOCKED = Problem("login_blocked", "/code", "微信判定该用户存在风险,禁止登录", "WeChat blocks this user.")

INVALID_CODES = (40029, 40163, 41008)
BLOCKED_USER = 40226
TRY_AGAIN = (-1, 45011)

log: structlog.stdlib.BoundLogger = structlog.get_logger("cdp.api")


@dataclass(frozen=True, slots=True)
class WeChatUser:
    """Who logged in: an openid within an app, and across apps the unionid, where WeChat tells it."""

    app_id: str
    openid: str
    unionid: str | None


def exchange_code(settings: ApiSettings, code: str) -> WeChatUser:
    """Who the code of `wx.login` stands for; raises NotReadyError, InvalidError or NotPermittedError."""
    if settings.wechat_app_id is None or settings.wechat_app_secret is None:
        raise NotReadyError(NOT_CONFIGURED)
    query = {
        "appid": settings.wechat_app_id,
        "secret": settings.wechat_app_secret.get_secret_value(),
        "js_code": code,
        "grant_type": "authorization_code",
    }
    answer = _ask(f"{settings.wechat_api_url.rstrip('/')}/sns/jscode2session", query)
    number = answer.get("errcode", 0)
    if number:
        raise _refusal(number)
    openid, unionid = answer.get("openid"), answer.get("unionid")
    if not isinstance(openid, str) or not openid:
        raise _unreachable("an answer without openid")
    return WeChatUser(settings.wechat_app_id, openid, unionid if isinstance(unionid, str) and unionid else None)


def _ask(address: str, query: dict[str, str]) -> dict[str, Any]:
    """WeChat's answer: JSON under whatever content type, errors too with status 200."""
    try:
        answer = httpx2.get(address, params=query, timeout=TIMEOUT_SECONDS)
        document = answer.raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        # The error itself holds the address with the code and the secret in it.
        raise _unreachable(type(error).__name__) from None
    if not isinstance(document, dict):
        raise _unreachable("no object")
    return document


def _unreachable(reason: str) -> ApiError:
    log.warning("login at WeChat failed", reason=reason)
    return NotReadyError(UNREACHABLE)


def _refusal(number: Any) -> ApiError:
    if number in INVALID_CODES:
        return InvalidError(WRONG_CODE)
    if number == BLOCKED_USER:
        return NotPermittedError(BLOCKED)
    log.warning("login at WeChat refused", errcode=str(number)[:10])
    return NotReadyError(UNREACHABLE if number in TRY_AGAIN else REFUSES_US)
