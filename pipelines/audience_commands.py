"""The commands `cdp audience …`: arguments in, functions called, answers shown. `pipelines.cli` mounts them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipelines.command_line import business_day, pipeline_settings
from segment_engine.runtime.terminal import fail, out, tell_error

if TYPE_CHECKING:
    from pipelines.audiences import Asked
    from segment_engine.problems import Problem

audience = typer.Typer(no_args_is_help=True, help="Filters: who is meant, how many, and why / 客户筛选")

NOTHING_PUBLISHED = 3


class AnswerFormat(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


Filter = Annotated[Path, typer.Argument(metavar="FILTER", help="Filter, JSON; - for stdin / 筛选条件文件")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="YYYY-MM-DD", help="The day asked about / 查询日期 [default: published day]"),
]
Output = Annotated[AnswerFormat, typer.Option("--format", help="text or json / 输出格式")]


@audience.command("preview")
def preview(
    filter_file: Filter,
    as_of: AsOf = None,
    explain_plan: Annotated[
        bool, typer.Option("--explain-plan", help="Show what was read, and what is shared / 显示执行计划")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Show the filter as SQL / 显示 SQL")] = False,
    budget: Annotated[float, typer.Option(metavar="SECONDS", min=0.01, help="Stop after so long / 最长秒数")] = 30.0,
    output: Output = AnswerFormat.TEXT,
) -> None:
    """Count the customers of a filter and of each of its branches. / 预览人数与漏斗"""
    from pipelines.show_audience import (  # noqa: PLC0415
        as_json,
        preview_lines,
        preview_object,
        show_lines,
        statement_lines,
    )
    from segment_engine.compile import compile_one  # noqa: PLC0415
    from segment_engine.lint import lint  # noqa: PLC0415
    from segment_engine.runtime.limited import Budget  # noqa: PLC0415
    from segment_engine.runtime.plan_text import plan_text  # noqa: PLC0415
    from segment_engine.runtime.preview import Sight  # noqa: PLC0415
    from segment_engine.runtime.preview import preview as previewed  # noqa: PLC0415
    from segment_engine.runtime.version import one_ids_of  # noqa: PLC0415

    with _answering(filter_file, as_of, output) as asked:
        opened = asked.opened
        found = previewed(
            asked.checked,
            opened,
            asked.connection,
            audiences=asked.members,
            sight=Sight(names=asked.stored.names, labels=asked.labels),
            budget=Budget(budget),
        )
        ids = one_ids_of(asked.connection, opened.catalog, found.sample)
        warnings = lint(asked.checked, opened.as_of)
        statement = compile_one(asked.checked, opened.as_of, opened.version.marts)
        if output is AnswerFormat.JSON:
            further: dict[str, Any] = {"plan": plan_text(found.plan, found.answer)} if explain_plan else {}
            further |= {"sql": asdict(statement)} if sql else {}
            typer.echo(as_json(preview_object(found, opened, ids, warnings) | further))
            return
        show_lines(out, preview_lines(found, opened, ids, warnings))
        show_lines(out, plan_text(found.plan, found.answer).splitlines() if explain_plan else ())
        show_lines(out, statement_lines(statement) if sql else ())


@audience.command("explain")
def explain(
    filter_file: Filter,
    one_id: Annotated[str, typer.Argument(metavar="ONE_ID", help="Customer, also by a former id / 客户编号")],
    as_of: AsOf = None,
    output: Output = AnswerFormat.TEXT,
) -> None:
    """Say why a filter means one customer, or does not; personal fields are masked. / 解释某位客户是否符合"""
    from pipelines.show_audience import as_json, explanation_lines, show_lines  # noqa: PLC0415
    from segment_engine.runtime.explain import Telling  # noqa: PLC0415
    from segment_engine.runtime.explain import explain as explained  # noqa: PLC0415
    from segment_engine.runtime.version import asking_for, customer_key_of  # noqa: PLC0415

    with _answering(filter_file, as_of, output) as asked:
        opened = asked.opened
        key = customer_key_of(asked.connection, opened.catalog, one_id)
        telling = Telling(asking_for(opened), asked.stored.names, asked.labels)
        found = explained(asked.checked, opened, asked.connection, key, audiences=asked.members, telling=telling)
        if output is AnswerFormat.JSON:
            typer.echo(as_json({"holds": found.holds, **asdict(found)}))
        else:
            show_lines(out, explanation_lines(found))


@audience.command("describe")
def describe(filter_file: Filter, as_of: AsOf = None, output: Output = AnswerFormat.TEXT) -> None:
    """Say a filter as a sentence, with what is odd about it. / 用一句话说明筛选条件"""
    from pipelines.show_audience import as_json, show_lines, told_problem  # noqa: PLC0415
    from segment_engine.describe import describe as described  # noqa: PLC0415
    from segment_engine.lint import lint  # noqa: PLC0415

    with _answering(filter_file, as_of, output) as asked:
        moment = asked.opened.as_of
        sentence = described(asked.checked, asked.stored.names, moment, labels=asked.labels)
        warnings = lint(asked.checked, moment)
        if output is AnswerFormat.JSON:
            typer.echo(as_json({**asdict(sentence), "warnings": [asdict(one) for one in warnings]}))
        else:
            show_lines(out, [sentence.zh, sentence.en, *(f"warning {told_problem(one)}" for one in warnings)])


@audience.command("recalculate")
def recalculate(
    ids: Annotated[list[int], typer.Argument(metavar="ID…", help="Smart tags and segments / 智能标签与智能分群编号")],
    output: Output = AnswerFormat.TEXT,
) -> None:
    """Calculate smart tags and segments now, each after those it refers to. / 重新计算智能标签与智能分群"""
    from pipelines.audiences import served  # noqa: PLC0415
    from pipelines.clock import SystemClock  # noqa: PLC0415
    from pipelines.show_audience import as_json, recalculated_lines, show_lines  # noqa: PLC0415
    from pipelines.stored_audiences import recalculate as recalculated  # noqa: PLC0415

    settings = pipeline_settings()
    with _reporting():
        made = recalculated(settings, ids, partial(served, settings), SystemClock(settings.zone))
    if output is AnswerFormat.JSON:
        typer.echo(as_json(asdict(made)))
    else:
        show_lines(out, recalculated_lines(made))
    if made.refused or made.overtaken or made.unknown:
        raise typer.Exit(1)


@contextmanager
def _answering(file: Path, as_of: str | None, output: AnswerFormat) -> "Iterator[Asked]":
    """The filter on its version; ends the command where that or anything after it goes wrong."""
    from pipelines.audiences import asked, read_document  # noqa: PLC0415
    from segment_engine.problems import InvalidFilterError  # noqa: PLC0415
    from segment_engine.runtime.explain import NotACustomerThenError, OfExcludedClinicsError  # noqa: PLC0415
    from segment_engine.runtime.limited import QueryTimeoutError  # noqa: PLC0415

    settings = pipeline_settings()
    day = None if as_of is None else business_day(as_of, settings)
    try:
        with _reporting(), asked(settings, read_document(file), day) as ready:
            yield ready
    except InvalidFilterError as refused:
        _refuse(refused.problems, output, code=2)
    except (QueryTimeoutError, NotACustomerThenError, OfExcludedClinicsError) as ended:
        _refuse([ended.problem], output, code=1)


@contextmanager
def _reporting() -> Iterator[None]:
    """End the command where there is nothing to ask, or asking fails."""
    import duckdb  # noqa: PLC0415

    from pipelines.audiences import NotPublishedYetError  # noqa: PLC0415
    from pipelines.telling import reason  # noqa: PLC0415
    from segment_engine.runtime.catalogs import DamagedCatalogError  # noqa: PLC0415
    from segment_engine.runtime.memberships import DamagedMembershipsError  # noqa: PLC0415
    from segment_engine.runtime.published import EarlierReleaseError, NothingPublishedError  # noqa: PLC0415
    from segment_engine.runtime.version import UnknownCustomerError  # noqa: PLC0415

    try:
        yield
    except NothingPublishedError as error:
        fail(str(error), code=NOTHING_PUBLISHED)
    except NotPublishedYetError as error:
        fail(str(error), code=2)
    except (DamagedCatalogError, DamagedMembershipsError, EarlierReleaseError, UnknownCustomerError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped / 已停止", code=130)
    except duckdb.Error as error:
        fail(f"nothing was answered / 未能查询\n{reason(error)}")


def _refuse(problems: "Sequence[Problem]", output: AnswerFormat, *, code: int) -> NoReturn:
    """End with every problem: on stderr for people, on stdout for machines."""
    from pipelines.show_audience import as_json, told_problem  # noqa: PLC0415

    if output is AnswerFormat.JSON:
        typer.echo(as_json({"problems": [asdict(one) for one in problems]}))
    else:
        for problem in problems:
            tell_error(told_problem(problem))
    raise typer.Exit(code)
