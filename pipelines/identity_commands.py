"""The commands `cdp identity …`: arguments in, functions called, answers shown. `pipelines.cli` mounts them."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from pipelines.clock import SystemClock, last_full_day
from pipelines.settings import PipelineSettings
from segment_engine.runtime.settings import wrong_settings

if TYPE_CHECKING:
    from pipelines.identity.refusals import Problem

identity = typer.Typer(no_args_is_help=True, help="Identity resolution: who is one customer / 身份识别")
out = Console()
err = Console(stderr=True)


@identity.command("resolve")
def resolve(
    identities: Annotated[Path, typer.Option(metavar="FILE", help="Records, .parquet or .csv / 身份文件")],
    evidence: Annotated[Path, typer.Option(metavar="FILE", help="What they carry, .parquet or .csv / 依据文件")],
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="What one night leaves for the next; created if missing / 状态目录")
    ],
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the answers go / 输出目录")],
    overrides: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Operator rows in force tonight / 人工规则文件")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Thresholds, YAML / 阈值配置")] = None,
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="Plain connected components: no states, limits, rules / 仅连通分量")
    ] = False,
    night: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Name of the run / 运行日期 [default: yesterday]")
    ] = None,
) -> None:
    """Give the records of any two files their customers, under ids that last. / 对任意文件做身份识别"""
    import duckdb  # noqa: PLC0415

    from pipelines.identity.files import FilesOrder, Machine, StateBusyError, resolve_files  # noqa: PLC0415
    from pipelines.identity.refusals import InvalidFilesError  # noqa: PLC0415
    from pipelines.telling import reason  # noqa: PLC0415

    settings = _settings()
    order = FilesOrder(
        identities=identities,
        evidence=evidence,
        state=state,
        out=out_folder,
        night=_night(night, settings),
        overrides=overrides,
        config=config,
        limits=not no_limits,
    )
    try:
        told = resolve_files(order, Machine(settings.timezone, settings.threads, settings.memory_limit))
    except InvalidFilesError as error:
        for problem in error.problems:
            _tell(problem)
        raise typer.Exit(2) from None
    except StateBusyError as error:
        _fail(str(error))
    except (KeyboardInterrupt, RuntimeError) as error:
        # DuckDB tells of a Ctrl-C during a query in its own way.
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
            raise
        _fail("stopped; run the same night again / 已中断,请重新运行同一日期", code=130)
    except (OSError, duckdb.Error, MemoryError) as error:
        _fail(f"stopped; run the same night again / 运行中断,请重新运行同一日期\n{reason(error)}")
    events = ", ".join(f"{kind} {count:,}" for kind, count in told["events"].items()) or "no event / 无变更"
    out.print(
        f"{told['night']}: {told['identities']:,} identities, {told['customers']:,} customers, largest "
        f"{told['largest']}, {events}; {told['seconds']:.1f} s → {escape(str(out_folder))}",
        highlight=False,
        soft_wrap=True,
    )


@identity.command("refresh")
def refresh() -> None:
    """Load, resolve and publish what arrived today, before the night does. / 日间刷新"""
    from pipelines.refresh import refresh as run  # noqa: PLC0415
    from pipelines.show import run_shown  # noqa: PLC0415

    settings = _settings()
    run_shown(
        out,
        lambda progress: run(settings, clock=SystemClock(settings.zone), progress=progress),
        failed="the refresh failed; the last good version stays served / 日间刷新失败,仍提供上一版本",
        fail=_fail,
    )


def _tell(problem: "Problem") -> None:
    """A sentence in each language, then the rows it is about."""
    line = f"{problem.path}: {problem.message_en} / {problem.message_zh}"
    err.print(f"[red]error[/] {escape(line)}", highlight=False, soft_wrap=True)
    for row in problem.rows:
        err.print(f"  {escape(row)}", highlight=False, soft_wrap=True)
    if problem.row_count > len(problem.rows):
        more = problem.row_count - len(problem.rows)
        err.print(f"  … and {more:,} more / 另有 {more:,} 行", highlight=False)


def _settings() -> PipelineSettings:
    try:
        return PipelineSettings()
    except ValidationError as error:
        _fail("\n".join(["settings / 配置有误", *wrong_settings(error)]), code=2)


def _night(text: str | None, settings: PipelineSettings) -> date:
    if text is None:
        return last_full_day(SystemClock(settings.zone).now(), settings.zone)
    try:
        return date.fromisoformat(text)
    except ValueError:
        _fail(f"{text!r} is not a date like 2026-11-20 / 日期格式应为 2026-11-20", code=2)


def _fail(message: str, *, code: int = 1) -> NoReturn:
    err.print(f"[red]error[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)
