"""The commands `cdp token`, `cdp db` and `cdp audit`: arguments in, functions called, answers shown.

`pipelines.cli` mounts them. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from api.settings import ApiSettings
from segment_engine.runtime.terminal import fail, out, read_settings

if TYPE_CHECKING:
    from api.storage.database import Database

token = typer.Typer(no_args_is_help=True, help="Keys that let people and machines in / 访问密钥")
db = typer.Typer(no_args_is_help=True, help="The operational store: its schema / 业务库")
audit = typer.Typer(no_args_is_help=True, help="The audit log / 操作日志")


@token.command("create")
def create_token(
    role: Annotated[list[str] | None, typer.Option(help="Role id, e.g. marketer; may be repeated / 角色")] = None,
    clinic: Annotated[
        list[str] | None, typer.Option(help="Clinic the roles hold at; without it, everywhere / 机构,默认全部")
    ] = None,
    staff: Annotated[str | None, typer.Option(help="Employee of the clinic software / 员工编号")] = None,
    name: Annotated[str | None, typer.Option(help="What the key is for / 用途")] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, max=3650, help="Valid for so many days / 有效天数")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Only these permissions / 限定权限点")] = None,
    patient: Annotated[
        str | None, typer.Option(metavar="OPENID", help="Instead: a session of this mini-program user / 患者会话")
    ] = None,
) -> None:
    """Make a key and print it, once. / 新建密钥(仅显示一次)"""
    from api.access_admin.tokens import Order, TokenRefusedError, issue_key  # noqa: PLC0415
    from api.clock import now  # noqa: PLC0415

    if patient is not None:
        print(_patient_token(patient))
        return
    if not role and staff is None:
        fail("name a --role, a --staff who is known, or a --patient / 请指定 --role、--staff 或 --patient", code=2)
    order = Order(
        role_ids=tuple(role or ()),
        clinic_ids=tuple(clinic or ("*",)),
        staff_id=staff,
        name=name,
        scopes=scope or None,
        lifetime=None if expires_days is None else timedelta(days=expires_days),
    )
    with _store() as (_, database):
        try:
            made = database.write(lambda connection: issue_key(connection, order, now=now()))
        except TokenRefusedError as error:
            fail(str(error))
    print(made.text)


@token.command("list")
def list_tokens() -> None:
    """Every key, without its secret. / 密钥列表"""
    from api.access_admin.tokens import listed_keys  # noqa: PLC0415
    from api.clock import now  # noqa: PLC0415

    with _store() as (settings, database), database.read() as connection:
        keys = listed_keys(connection)
    # The id is there to be copied, so it is never folded.
    table = Table(
        Column("id", no_wrap=True),
        "name 用途",
        "of 账号",
        "roles 角色",
        "made 创建",
        "last used 最近使用",
        "state 状态",
    )
    moment = now()
    for key in keys:
        expired = key["expires_at"] is not None and key["expires_at"] <= moment
        state = "revoked 已撤销" if key["revoked_at"] else "expired 已过期" if expired else "valid 有效"
        roles = ", ".join(f"{role['role_id']}@{role['clinic_id']}" for role in key["owner"]["roles"])
        moments = (key["created_at"], key["last_used_at"])
        shown = (f"{at.astimezone(settings.zone):%Y-%m-%d %H:%M}" if at else "–" for at in moments)
        of = key["owner"]["name"] if key["owner"]["is_active"] else f"{key['owner']['name']} (inactive 已停用)"
        table.add_row(key["id"], escape(key["name"]), escape(of), escape(roles), *shown, state)
    out.print(table)


@token.command("revoke")
def revoke_token(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `cdp token list` shows it / 密钥编号")],
) -> None:
    """The key lets nobody in any more, at once. / 撤销密钥"""
    from api.access_admin.tokens import TokenRefusedError, revoke  # noqa: PLC0415
    from api.clock import now  # noqa: PLC0415

    with _store() as (_, database):
        try:
            database.write(lambda connection: revoke(connection, key_id, now=now()))
        except TokenRefusedError as error:
            fail(str(error))
    out.print(f"revoked {escape(key_id)} / 已撤销", highlight=False)


@db.command("upgrade")
def upgrade_db() -> None:
    """Bring the store to this program's schema and roles; does nothing when it is there. / 升级业务库"""
    from api.clock import now  # noqa: PLC0415
    from api.store import upgrade_store  # noqa: PLC0415

    with _store(opened=False) as (_, database):
        before, after = upgrade_store(database, now=now())
    told = "already there / 无需升级" if before == after else f"was / 原为 {before or 'empty 空'}"
    out.print(f"revision / 版本 {after} ({told})", highlight=False)


@db.command("status")
def db_status() -> None:
    """Which store, which revision; exits with 1 when it is not this program's. / 业务库状态"""
    from api.storage.schema import current_revision, head_revision  # noqa: PLC0415

    with _store(opened=False) as (_, database):
        found, wanted = current_revision(database), head_revision()
        out.print(f"store / 业务库      {escape(database.url.render_as_string())}", highlight=False, soft_wrap=True)
    out.print(f"revision / 版本     {found or 'empty 空'}", highlight=False)
    out.print(f"this program needs / 需要 {wanted}", highlight=False)
    if found != wanted:
        fail("run `cdp db upgrade` / 请运行 cdp db upgrade")


@audit.command("verify")
def verify_audit() -> None:
    """Walk the whole audit log; exits with 1 and names the first bad row. / 校验操作日志"""
    from api.audit.verify import verify  # noqa: PLC0415

    with _store() as (_, database), database.read() as connection:
        verdict = verify(connection)
    if not verdict.ok:
        told = f"row {verdict.bad_seq} {verdict.reason}; {verdict.good_rows} rows before it stand"
        fail(f"the audit log is broken: {told} / 操作日志第 {verdict.bad_seq} 条异常,之前 {verdict.good_rows} 条完好")
    out.print(
        f"{verdict.good_rows:,} rows stand, head {verdict.head} / {verdict.good_rows:,} 条记录完好", highlight=False
    )


def demo_token(settings: ApiSettings) -> str:
    """A marketer's key for `cdp demo`; those of former demos are revoked."""
    from api.access_admin.tokens import issue_demo_key  # noqa: PLC0415
    from api.clock import now  # noqa: PLC0415

    with _store(settings) as (_, database):
        return database.write(lambda connection: issue_demo_key(connection, now=now())).text


def _patient_token(openid: str) -> str:
    from api.access.links import PatientLinks, app_of  # noqa: PLC0415
    from api.clock import now  # noqa: PLC0415
    from api.patients.service import log_in  # noqa: PLC0415
    from api.patients.wechat import WeChatUser  # noqa: PLC0415
    from segment_engine.runtime.published import PublishedReader  # noqa: PLC0415

    with _store() as (settings, database):
        reader = PublishedReader(settings.folders, timezone=settings.timezone, threads=1)
        app_id = settings.wechat_app_id or app_of(reader, openid)
        if app_id is None:
            fail("no such mini-program user is published, and CDP_WECHAT_APP_ID is not set / 未找到该小程序用户")
        session, _ = log_in(database, PatientLinks(database, reader), WeChatUser(app_id, openid, None), now=now())
        reader.close()
    return session.text


@contextmanager
def _store(settings: ApiSettings | None = None, *, opened: bool = True) -> Iterator[tuple[ApiSettings, Database]]:
    """The operational store, ready to be used unless not `opened`; what is wrong with it is told in a sentence."""
    from api.clock import now  # noqa: PLC0415
    from api.storage.database import Database, StoreBusyError, StoreGoneError, StoreUnusableError  # noqa: PLC0415
    from api.store import open_store  # noqa: PLC0415

    settings = settings or read_settings(ApiSettings)
    try:
        database = Database(settings)
        try:
            if opened:
                open_store(settings, database, now=now())
            else:
                database.check()
            yield settings, database
        finally:
            database.close()
    except StoreUnusableError as error:
        fail(str(error))
    except StoreBusyError:
        fail("the store is busy, nothing was changed; try again / 业务库繁忙,未做更改,请重试")
    except StoreGoneError as error:
        fail(f"the store cannot be reached or written / 业务库无法访问: {error}")
