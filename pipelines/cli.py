"""The `cdp` command: arguments in, functions called, answers shown. No rule of the product lives here.

Everything heavy is imported by the command that needs it: a night's libraries alone take a second.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from api.commands import audit, db, demo_token, token
from api.settings import ApiSettings
from pipelines.audience_commands import audience
from pipelines.case_commands import cases
from pipelines.clock import SystemClock, last_full_day
from pipelines.command_line import business_day, pipeline_settings
from pipelines.identity_commands import identity
from pipelines.ingest.contracts import InvalidContract
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import DamagedPointerError
from segment_engine.runtime.settings import PREFIX
from segment_engine.runtime.terminal import err, fail, out, read_settings


class Commands(TyperGroup):
    """Every command; what is wrong with the installation is told in a sentence, whichever command meets it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidContract as error:
            fail(f"contract / 契约有误\n{error}")
        except DamagedPointerError as error:
            fail(str(error))
        except BrokenPipeError:
            raise  # somebody reads only the first lines, like `head`: no error
        except OSError as error:
            fail(f"file or disk / 文件或磁盘错误\n{error}")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Customer data platform for dental clinic chains / 口腔连锁客户数据平台",
)
app.add_typer(token, name="token")
app.add_typer(db, name="db")
app.add_typer(audit, name="audit")
app.add_typer(identity, name="identity")
app.add_typer(audience, name="audience")
app.add_typer(cases, name="cases")

AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="YYYY-MM-DD", help="Business day / 业务日期 [default: yesterday]")
]


class Format(StrEnum):
    """How `cdp sql` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command("sample-data")
def sample_data(
    customers: Annotated[
        int, typer.Option(min=50, max=20_000_000, help="Persons in the made-up chain / 人数")
    ] = 20_000,
    days: Annotated[int, typer.Option(min=30, max=3650, help="Days of behaviour / 行为天数")] = 400,
    seed: Annotated[int, typer.Option(help="Same seed, same files / 随机种子")] = 7,
    dirty: Annotated[bool, typer.Option("--dirty", help="Add what real exports get wrong / 加入脏数据")] = False,
    end_on: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Last business day [default: yesterday]")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove an older sample and its nights first / 先清空旧的样例数据")
    ] = False,
) -> None:
    """Write landing batches of a believable clinic chain. / 生成样例数据"""
    from pipelines.sample_data import SampleRefusedError, make_sample  # noqa: PLC0415
    from pipelines.warehouse.lock import WarehouseBusy  # noqa: PLC0415

    settings = pipeline_settings()
    day = business_day(end_on, settings)
    try:
        with out.status("writing sample data / 正在生成样例数据") as status:
            summary = make_sample(
                settings,
                customers=customers,
                days=days,
                seed=seed,
                end_on=day,
                dirty=dirty,
                replace=replace,
                on_progress=lambda table, rows: status.update(f"writing sample data: {table} ({rows:,} rows)"),
            )
    except (SampleRefusedError, WarehouseBusy) as error:
        fail(str(error))
    rows = sum(summary.rows_by_table.values())
    out.print(
        f"{summary.customers:,} persons, {len(summary.rows_by_table)} tables, {rows:,} rows in {summary.seconds:.1f} s "
        f"({summary.rows_per_second:,.0f} rows/s) → {escape(str(settings.folders.landing))}",
        soft_wrap=True,
    )


@app.command()
def nightly(
    as_of: AsOf = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild even when nothing new arrived / 强制重建")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="CHECK", help="Let this check pass in this run only / 本次放行的检查,可重复"),
    ] = None,
) -> None:
    """Run everything from landing to publish for one business day. / 运行夜间任务"""
    from pipelines.nightly import run_night  # noqa: PLC0415
    from pipelines.show import run_shown  # noqa: PLC0415

    settings = pipeline_settings()
    day = business_day(as_of, settings)
    run_shown(
        out,
        lambda progress: run_night(
            settings,
            as_of=day,
            clock=SystemClock(settings.zone),
            progress=progress,
            force=force,
            accept=accept or (),
        ),
        failed=f"the night of {day} failed; the last good version stays served / 夜间任务失败,仍提供上一版本",
    )


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For machines / 输出 JSON")] = False,
    all_rows: Annotated[bool, typer.Option("--all", help="Every quarantined reason, not the first 20 / 全部")] = False,
) -> None:
    """Show versions, freshness, quarantine and the last runs; exits with 1 when a file is damaged. / 查看状态"""
    from pipelines.show import show_status  # noqa: PLC0415
    from pipelines.status import platform_status  # noqa: PLC0415

    settings = pipeline_settings()
    snapshot = platform_status(settings, now=SystemClock(settings.zone).now())
    show_status(out, snapshot, settings, as_json=as_json, all_rows=all_rows)
    raise typer.Exit(1 if snapshot.damaged else 0)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; without it, a prompt / 查询语句")] = None,
    output: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.TABLE,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table / 表格最多显示行数")] = 100,
) -> None:
    """Read-only SQL over the published version; `analyst` views mask personal data. / 查询已发布数据"""
    from pipelines.sql_shell import SqlShell  # noqa: PLC0415

    shell = SqlShell(pipeline_settings(), out, err, output=output.value, limit=limit)
    if query is not None:
        raise typer.Exit(shell.run(query))
    raise typer.Exit(shell.prompt() if sys.stdin.isatty() else shell.run(sys.stdin.read()))


@app.command()
def seal(
    folder: Annotated[Path, typer.Argument(help="landing/<source>/<table>/<batch_id> with data files / 批次目录")],
    window_from: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day covered / 起始日")],
    window_to: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day covered / 截止日(含)")],
) -> None:
    """Write the manifest of files you dropped into landing, so that the next night loads them. / 封存手工批次"""
    from pipelines.warehouse.drop import seal_dropped_folder  # noqa: PLC0415

    settings = pipeline_settings()
    first_day, last_day = business_day(window_from, settings), business_day(window_to, settings)
    now = SystemClock(settings.zone).now()
    try:
        rows = seal_dropped_folder(settings, folder, first_day=first_day, last_day=last_day, today=now.date())
    except ValueError as error:
        fail(str(error))
    out.print(f"sealed {escape(str(folder))}: {rows:,} rows / 已封存 {rows:,} 行")
    if last_day > last_full_day(now, settings.zone):
        out.print(f"waiting for its business day {last_day} / 等待业务日 {last_day}", highlight=False)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on / 监听地址")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port / 端口")] = 8000,
) -> None:
    """Start the API. / 启动接口服务"""
    from api.serve import serve_api  # noqa: PLC0415

    serve_api(read_settings(ApiSettings), host=host, port=port)


@app.command()
def dagster(
    host: Annotated[str, typer.Option(help="Address to listen on / 监听地址")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port / 端口")] = 3000,
) -> None:
    """Start Dagster's UI and daemon (schedules, sensors). / 启动 Dagster"""
    from pipelines.processes import run_dagster  # noqa: PLC0415

    raise typer.Exit(run_dagster(pipeline_settings(), host=host, port=port))


@app.command()
def demo(
    customers: Annotated[int, typer.Option(min=50, help="Persons in the sample chain / 样例人数")] = 5_000,
    serve_it: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Also start API and Dagster / 是否启动服务")
    ] = True,
    api_port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    dagster_port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
) -> None:
    """Sample data, a full night, then API and Dagster UI until Ctrl-C. / 一键演示"""
    from pipelines.processes import serve_demo  # noqa: PLC0415

    settings = pipeline_settings()
    if not any(settings.folders.landing.glob("*/*/*")):
        sample_data(customers=customers)
    nightly()
    if serve_it:
        key = demo_token(read_settings(ApiSettings))
        raise typer.Exit(serve_demo(settings, out, api_port=api_port, dagster_port=dagster_port, key=key))
    out.print("next: [bold]cdp sql[/], [bold]cdp status[/], [bold]cdp serve[/], [bold]cdp dagster[/]")


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation and how to mend it. / 检查环境"""
    from api.checkup import looks  # noqa: PLC0415
    from pipelines.doctor import examine  # noqa: PLC0415

    settings, api_settings = pipeline_settings(), read_settings(ApiSettings)
    table = Table("check 检查项", "state 状态", "what to do 说明", title="cdp doctor", title_justify="left")
    findings = examine(settings, looks(api_settings))
    for finding in findings:
        table.add_row(finding.name, "[green]ok[/]" if finding.ok else "[red]wrong[/]", escape(finding.advice))
    out.print(table)
    fields = {**ApiSettings.model_fields, **PipelineSettings.model_fields}
    for name, value in {**api_settings.model_dump(), **settings.model_dump()}.items():
        shown = escape(f"{PREFIX}{name.upper()} = {value}")
        out.print(f"  {shown}   [dim]{fields[name].description}[/]", soft_wrap=True)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


if __name__ == "__main__":
    app()
