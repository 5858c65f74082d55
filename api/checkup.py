"""What `cdp doctor` looks at on the API's side: the operational store, the secret, the environment. Changes nothing."""

import stat
from collections.abc import Callable
from pathlib import Path

from api.access.builtin_roles import outdated_roles
from api.settings import ApiSettings
from api.storage.database import Database, database_url
from api.storage.schema import current_revision, head_revision

Look = tuple[bool, str]


def looks(settings: ApiSettings) -> dict[str, Callable[[], Look]]:
    """Name of a check → the check: whether it is well, and what there is or what to do. A check may raise."""
    return {
        "environment": lambda: _environment(settings),
        "operational store": lambda: _store(settings),
        "secret": lambda: _secret(settings),
        "patients' login": lambda: _login(settings),
    }


def _environment(settings: ApiSettings) -> Look:
    if settings.environment == "production":
        return True, "production: `cdp db upgrade` changes the schema, nothing else does / 生产环境,仅该命令升级业务库"
    return True, "development: the API upgrades its store by itself / 开发环境,接口服务自动升级业务库"


def _store(settings: ApiSettings) -> Look:
    url = database_url(settings)
    shown = url.render_as_string()
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        made = "`cdp db upgrade` makes it, in development `cdp serve` too / 尚未创建,请运行 cdp db upgrade"
        return settings.environment == "development", f"{shown}: {made}"
    database = Database(settings)
    try:
        database.check()
        found, wanted = current_revision(database), head_revision()
        if found != wanted:
            return False, f"{shown} is at {found or 'no'} revision: run `cdp db upgrade` / 请运行 cdp db upgrade"
        with database.read() as connection:
            if outdated_roles(connection):
                return False, "builtin roles are missing: run `cdp db upgrade` / 缺少内置角色,请运行 cdp db upgrade"
    finally:
        database.close()
    return True, f"{shown}, revision / 版本 {found}"


def _secret(settings: ApiSettings) -> Look:
    if settings.secret_key is not None:
        return True, "CDP_SECRET_KEY is set / 已设置 CDP_SECRET_KEY"
    file = settings.folders.secret
    if not file.exists():
        return True, f"{file} is made when first needed; keep it with the backups / 首次使用时生成,请随备份保存"
    if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        return False, f"others can read it: chmod 600 {file} / 其他用户可读,请执行 chmod 600"
    return True, f"{file}, readable by its owner only / 仅所有者可读"


def _login(settings: ApiSettings) -> Look:
    told = (settings.wechat_app_id is not None, settings.wechat_app_secret is not None)
    if all(told):
        return True, "configured / 已配置"
    if any(told):
        return False, "set both CDP_WECHAT_APP_ID and CDP_WECHAT_APP_SECRET / 两项须同时设置"
    return True, "not configured: patients cannot log in / 未配置,患者无法登录"
