"""`cdp doctor`: what is wrong with an installation, and how to mend it. Looks only; changes nothing."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.ingest.contracts import InvalidContract, load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.lock import current_holder
from segment_engine.runtime.published import DamagedPointerError, NothingPublishedError, open_current

FREE_BYTES = 5 << 30

# Whether it is well, and what there is or what to do.
Look = Callable[[], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    advice: str


def examine(settings: PipelineSettings, others: Mapping[str, Look]) -> list[Finding]:
    """Look at folders, disk, contracts, lock, the published version and what `others` look at.

    A look that fails is a finding too.
    """
    checks: dict[str, Look] = {
        "data directory": lambda: _folder(settings),
        "disk": lambda: _disk(settings),
        "contracts": _contracts,
        "writer lock": lambda: _lock(settings),
        "published version": lambda: _published(settings),
        **others,
    }
    return [_look(name, check) for name, check in checks.items()]


def _look(name: str, check: Look) -> Finding:
    try:
        return Finding(name, *check())
    except Exception as error:  # (whatever it is, the other checks are wanted as well)
        return Finding(name, False, f"could not be looked at / 无法检查: {type(error).__name__}: {error}")


def _folder(settings: PipelineSettings) -> tuple[bool, str]:
    existing = _existing(settings)
    if os.access(existing, os.W_OK):
        return True, str(settings.data_dir.resolve())
    return (
        False,
        f"{existing} is not writable: set CDP_DATA_DIR or its permissions / 目录不可写,请设置 CDP_DATA_DIR 或权限",
    )


def _disk(settings: PipelineSettings) -> tuple[bool, str]:
    free = shutil.disk_usage(_existing(settings)).free
    gib = f"{free / (1 << 30):.0f} GiB"
    return free > FREE_BYTES, (
        f"{gib} free; a night needs about three times the published file / 可用 {gib},每晚约需已发布文件的三倍"
    )


def _existing(settings: PipelineSettings) -> Path:
    place = settings.data_dir.resolve()
    return next(parent for parent in (place, *place.parents) if parent.exists())


def _contracts() -> tuple[bool, str]:
    try:
        tables = len(load_contracts())
    except InvalidContract as error:
        return False, f"mend the contract / 请修正契约: {error}"
    return True, f"{tables} tables / {tables} 张表"


def _lock(settings: PipelineSettings) -> tuple[bool, str]:
    if not settings.folders.build.exists():
        return True, "nothing has run yet / 尚未运行"
    holder = current_holder(settings.folders)
    if holder is None:
        return True, "free / 空闲"
    who = f"pid {holder['pid']}, {holder.get('owner', '?')}, since {holder.get('since', '?')}"
    return True, f"a run holds it / 正被占用: {who}"


def _published(settings: PipelineSettings) -> tuple[bool, str]:
    try:
        con, pointer = open_current(settings.folders, timezone=settings.timezone)
        with con:
            con.execute("select * from meta.publication").fetchall()
    except NothingPublishedError:
        return False, "none yet: run `cdp nightly` / 尚未发布,请运行 cdp nightly"
    except DamagedPointerError as error:
        return False, str(error)
    except duckdb.Error as error:
        return False, f"it does not open: run `cdp nightly --force` / 无法打开,请运行 cdp nightly --force ({error})"
    return True, f"{pointer.version}, business day / 业务日 {pointer.as_of}"
