"""The commands `cdp identity …`: arguments in, functions called, answers shown. `pipelines.cli` mounts them."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape

from pipelines.clock import SystemClock
from pipelines.command_line import business_day, pipeline_settings
from segment_engine.runtime.terminal import err, fail, out, tell_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.identity.refusals import Problem
    from pipelines.warehouse.proposal import Proposal

identity = typer.Typer(no_args_is_help=True, help="Identity resolution: who is one customer / 身份识别")


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

    settings = pipeline_settings()
    order = FilesOrder(
        identities=identities,
        evidence=evidence,
        state=state,
        out=out_folder,
        night=business_day(night, settings),
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
        fail(str(error))
    except (KeyboardInterrupt, RuntimeError) as error:
        # DuckDB tells of a Ctrl-C during a query in its own way.
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
            raise
        fail("stopped; run the same night again / 已中断,请重新运行同一日期", code=130)
    except (OSError, duckdb.Error, MemoryError) as error:
        fail(f"stopped; run the same night again / 运行中断,请重新运行同一日期\n{reason(error)}")
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

    settings = pipeline_settings()
    run_shown(
        out,
        lambda progress: run(settings, clock=SystemClock(settings.zone), progress=progress),
        failed="the refresh failed; the last good version stays served / 日间刷新失败,仍提供上一版本",
    )


@identity.command("preview")
def preview(
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Proposed rows, JSON / 拟定的人工规则 [default: stdin]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines / 输出 JSON")] = False,
) -> None:
    """Show what operator rows would change, without changing anything. / 预览人工规则的效果

    {"rows": [{"kind": "merge", "a": KEY, "b": KEY}], "revoke": [ID]}
    """
    import duckdb  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from pipelines.identity.model import IdentityNightError  # noqa: PLC0415
    from pipelines.identity.refusals import Problem  # noqa: PLC0415
    from pipelines.telling import reason  # noqa: PLC0415
    from pipelines.warehouse.lock import WarehouseBusy  # noqa: PLC0415
    from pipelines.warehouse.preview import preview_overrides  # noqa: PLC0415
    from pipelines.warehouse.proposal import InvalidProposalError  # noqa: PLC0415

    settings = pipeline_settings()
    try:
        found = preview_overrides(settings, _proposal(rows), now=SystemClock(settings.zone).now()).told()
    except InvalidProposalError as error:
        _refuse(error.problems, as_json=as_json, code=2)
    except IdentityNightError as error:
        _refuse([Problem(error.code, "", error.message_zh, error.message_en)], as_json=as_json)
    except WarehouseBusy:
        busy = "a night or another preview is at work, try again later"
        _refuse([Problem("warehouse_busy", "", "夜间任务或另一次预览正在运行,请稍后再试", busy)], as_json=as_json)
    except (OSError, duckdb.Error, SQLAlchemyError, MemoryError) as error:
        fail(f"nothing was previewed / 预览未完成\n{reason(error)}")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        _show_preview(found)


def _proposal(file: Path | None) -> "Proposal":
    from pipelines.identity.refusals import Problem  # noqa: PLC0415
    from pipelines.warehouse.proposal import InvalidProposalError, read_proposal  # noqa: PLC0415

    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
    except OSError as error:
        why = Problem(
            "unreadable", "rows", f"无法读取文件:{error.strerror}", f"The file cannot be read: {error.strerror}."
        )
        raise InvalidProposalError([why]) from None
    return read_proposal(content)


def _refuse(problems: "Sequence[Problem]", *, as_json: bool, code: int = 1) -> NoReturn:
    """End with every problem: on stderr for people, on stdout for machines."""
    if as_json:
        told = [{name: getattr(one, name) for name in ("code", "path", "message_zh", "message_en")} for one in problems]
        typer.echo(json.dumps({"problems": told}, ensure_ascii=False))
    else:
        for problem in problems:
            _tell(problem)
    raise typer.Exit(code)


def _show_preview(found: dict[str, Any]) -> None:
    night = f"{found['last_night']} → {found['night']}"
    parts = (
        ("would happen / 将会发生", "event_counts", "events"),
        ("would no longer happen / 将不再发生", "gone_event_counts", "gone_events"),
        ("links refused / 新增冲突", "conflict_count", "conflicts"),
        ("links no longer refused / 消除的冲突", "gone_conflict_count", "gone_conflicts"),
    )
    if not any(found[counts] for _, counts, _ in parts):
        out.print(f"{night}: nothing would change / 不会有任何变化", highlight=False)
    for heading, counts, rows in parts:
        if found[counts]:
            _show_part(f"{night}: {heading}", found[counts], found[rows])


def _show_part(heading: str, counts: dict[str, int] | int, rows: list[dict[str, Any]]) -> None:
    count = sum(counts.values()) if isinstance(counts, dict) else counts
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in counts.items()) if isinstance(counts, dict) else ""
    out.print(f"{heading}: {kinds or f'{count:,}'}", highlight=False)
    # Lines, not a table: ids and keys are there to be copied, and a narrow terminal cuts cells.
    for row in rows:
        told = "  ".join(f"{name} {cell}" for name, cell in row.items() if cell is not None)
        out.print(f"  {escape(told)}", highlight=False, soft_wrap=True)
    if count > len(rows):
        out.print(f"… and {count - len(rows):,} more / 另有 {count - len(rows):,} 条", highlight=False)


def _tell(problem: "Problem") -> None:
    """A sentence in each language, then the rows it is about."""
    place = f"{problem.path}: " if problem.path else ""
    tell_error(f"{place}{problem.message_en} / {problem.message_zh}")
    for row in problem.rows:
        err.print(f"  {escape(row)}", highlight=False, soft_wrap=True)
    if problem.row_count > len(problem.rows):
        more = problem.row_count - len(problem.rows)
        err.print(f"  … and {more:,} more / 另有 {more:,} 行", highlight=False)
