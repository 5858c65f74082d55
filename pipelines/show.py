"""How nights, results and status look in a terminal; the numbers come from elsewhere.

Whatever comes from files or tables is shown as it is: names with brackets are no markup.
"""

import json
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.breaker import UnknownCheckError
from pipelines.nightly import RunRecord
from pipelines.settings import PipelineSettings
from pipelines.status import PlatformStatus
from pipelines.steps import BusinessDayError, StepReport
from pipelines.telling import reason
from segment_engine.runtime.terminal import fail

FIRST_ROWS = 20


class NightProgress:
    """One line a step: name, what it is at, rows, seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def step_started(self, name: str) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(name)
        self._bar.reset(self._task, description=name)

    def step_moved(self, name: str, message: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, description=f"{name}: {message}")

    def step_finished(self, name: str, seconds: float, report: StepReport) -> None:
        facts = ", ".join(f"{key} {_number(value)}" for key, value in report.facts.items() if value not in (0, ""))
        self._console.print(
            f"[green]✓[/] {name:<18}{report.rows:>13,} rows {seconds:>8.1f} s  [dim]{escape(facts)}[/]",
            highlight=False,
            soft_wrap=True,
        )

    def stop(self) -> None:
        """Take the moving line away."""
        self._bar.stop()


def run_shown(console: Console, run: Callable[[NightProgress], RunRecord], *, failed: str) -> None:
    """Show the steps of a run and its last line; a run that comes to no end ends the command, told after `failed`."""
    progress = NightProgress(console)
    try:
        record = run(progress)
    except KeyboardInterrupt:
        fail("stopped; the served version is untouched, run it again to go on / 已中断,已发布版本不受影响", code=130)
    except (BusinessDayError, UnknownCheckError) as error:
        fail(str(error), code=2)
    except Exception as error:  # (whatever failed, the operator reads one message and the record has the rest)
        progress.stop()
        fail(f"{failed}\n{reason(error)}")
    show_result(console, record)


def show_result(console: Console, record: RunRecord) -> None:
    """The last line of a night."""
    if record.status == "unchanged":
        console.print(f"nothing changed; version {record.version} stays served / 无变化,继续提供版本 {record.version}")
    else:
        console.print(f"published version [bold]{record.version}[/] for {record.as_of} / 已发布版本 {record.version}")


def show_status(
    console: Console, status: PlatformStatus, settings: PipelineSettings, *, as_json: bool, all_rows: bool
) -> None:
    """Print the snapshot as tables, or as one JSON object."""
    if as_json:
        console.print_json(json.dumps(asdict(status), ensure_ascii=False, default=str))
        return
    for sentence in status.damaged:
        console.print(f"[red]damaged[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    _show_versions(console, status, settings)
    _show_runs(console, status)
    if status.sources:
        table = Table(
            "source 来源",
            "newest day 最新业务日",
            "loaded 已入库",
            "rejected 已隔离",
            "erased 已删除",
            title="Sources",
            title_justify="left",
        )
        for source in status.sources:
            loaded, rejected = f"{source['loaded_rows']:,}", f"{source['rejected_rows']:,}"
            # A snapshot of a release before erasures does not say.
            erased = f"{source.get('erased_rows', 0):,}"
            _add_row(table, source["source"], source["newest_day"], loaded, rejected, erased)
        console.print(table)
    _show_refused(console, status)
    _show_rejections(console, status, settings, all_rows=all_rows)
    for row in status.overrides_left_out:
        console.print(
            f"[yellow]left out[/] operator row {escape(row['id'])}: {escape(row['message_en'])} / "
            f"人工规则 {escape(row['id'])} 未采用: {escape(row['message_zh'])}",
            highlight=False,
            soft_wrap=True,
        )
    for batch in status.waiting:
        place, day = f"{batch['source']}/{batch['table_name']}/{batch['batch_id']}", batch["business_day"]
        console.print(
            f"[yellow]waiting[/] {escape(place)}: waiting for its business day {day} / 等待业务日 {day}",
            highlight=False,
            soft_wrap=True,
        )
    for folder in status.unsealed:
        console.print(f"[yellow]no manifest yet[/] {escape(folder)} (cdp seal) / 尚未封存")


def _show_versions(console: Console, status: PlatformStatus, settings: PipelineSettings) -> None:
    pointer = status.pointer
    if pointer is None and status.versions:
        console.print("nothing is served although versions exist / 已有版本,但当前未提供服务")
        return
    if pointer is None:
        console.print("nothing published yet; run [bold]cdp nightly[/] / 尚未发布,请运行 cdp nightly")
        return
    age = _age(status.age_seconds or 0)
    rows = sum(pointer.row_counts.values())
    console.print(
        f"serving [bold]{escape(pointer.version)}[/] (business day {pointer.as_of}, {age} old, {rows:,} rows in "
        f"{len(pointer.row_counts)} tables) {escape(str(settings.folders.published / pointer.file))}",
        highlight=False,
        soft_wrap=True,
    )
    older = [version for version in status.versions if version != pointer.version]
    if older:
        console.print(f"also kept: {', '.join(older)}", highlight=False, markup=False)


def _show_runs(console: Console, status: PlatformStatus) -> None:
    if not status.runs:
        return
    table = Table(
        "run 运行",
        "day 业务日",
        "status 状态",
        "seconds",
        "what happened 说明",
        title="Last runs",
        title_justify="left",
    )
    for run in status.runs:
        state = "interrupted" if run.run_id in status.interrupted else run.status
        seconds = "—" if run.seconds is None else f"{run.seconds:.1f}"
        colour = {"failed": "red", "interrupted": "yellow"}.get(state, "green")
        told = run.error or f"version {run.version or '—'}"
        if run.accepted:
            told += f"; accepted 放行: {', '.join(run.accepted)}"
        _add_row(table, run.run_id, run.as_of, Text(state, style=colour), seconds, told)
    console.print(table)


def _show_refused(console: Console, status: PlatformStatus) -> None:
    if not status.refused:
        return
    table = Table("table 表", "batch 批次", "code", "why 原因", title="Refused batches 被拒批次", title_justify="left")
    for batch in status.refused:
        why = f"{batch['refusal_message_zh']} {batch['refusal_message_en']}"
        _add_row(table, f"{batch['source']}/{batch['table_name']}", batch["batch_id"], batch["refusal_code"], why)
    console.print(table)


def _show_rejections(console: Console, status: PlatformStatus, settings: PipelineSettings, *, all_rows: bool) -> None:
    if not status.rejections:
        return
    table = Table(
        "table 表", "batch 批次", "file 文件", "column 列", "reason 原因", "rows 行数", "first line 首行",
        title="Quarantined rows 隔离数据", title_justify="left",
    )  # fmt: skip
    shown = status.rejections if all_rows else status.rejections[:FIRST_ROWS]
    for row in shown:
        _add_row(
            table, f"{row['source']}/{row['table_name']}", row["batch_id"], row["file"], row["column_name"] or "—",
            row["code"], f"{row['rows']:,}", row["first_line"],
        )  # fmt: skip
    console.print(table)
    hidden = len(status.rejections) - len(shown)
    more = f"; {hidden} more lines with --all" if hidden else ""
    console.print(
        f"the rows themselves: {settings.folders.quarantine}/<source>/<table>/<batch>.csv{more}",
        highlight=False,
        markup=False,
    )


def _add_row(table: Table, *cells: object) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))


def _number(value: str | float) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _age(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
