"""How previews and explanations of filters look in a terminal, and as JSON; the answers come from elsewhere.

Whatever comes from files or tables is shown as it is: names with brackets are no markup.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Console

from pipelines.stored_audiences import Recalculated
from segment_engine.problems import Problem
from segment_engine.relations import Statement
from segment_engine.runtime.explanation import ExplainedNode, Explanation, ShownField
from segment_engine.runtime.preview import Preview
from segment_engine.runtime.version import Opened
from segment_engine.sentences import Sentence


def show_lines(console: Console, lines: Iterator[str] | Sequence[str]) -> None:
    """Lines as they are, however narrow the terminal: ids and paths are there to be copied."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def as_json(answer: Any) -> str:
    """One JSON object; amounts are numbers."""
    return json.dumps(answer, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def told_problem(problem: Problem) -> str:
    """One line: code, place, both languages."""
    return f"{problem.code} {problem.path or '/'}: {problem.message_en} / {problem.message_zh}"


def recalculated_lines(made: Recalculated) -> Iterator[str]:
    """How many each one means now; then those that could not be calculated, and why."""
    for one, count in sorted(made.counts.items()):
        yield f"{count:>13,}  {one}"
    for one, problems in sorted(made.refused.items()):
        yield from (f"refused {one}: {told_problem(problem)}" for problem in problems)
    for one in made.overtaken:
        yield f"not served {one}: something newer came between / 未生效 {one}:其间已有更新的计算或修改"
    for one in made.unknown:
        yield f"refused {one}: not an enabled smart tag or segment with a rule / 不是启用中且有规则的智能标签或分群"


def preview_lines(found: Preview, opened: Opened, ids: Sequence[str], warnings: Sequence[Problem]) -> Iterator[str]:
    """The count, the funnel, some customers, and what is odd about the filter."""
    everyone, day = len(opened.version.everyone), opened.as_of.date()
    yield (
        f"{found.count:,} of {everyone:,} customers on {day} in {found.seconds:.2f} s / "
        f"{day} 的 {everyone:,} 位客户中有 {found.count:,} 位"
    )
    for branch in found.branches:
        yield f"{branch.count:>13,}  {branch.path}  {_both(branch.sentence)}"
    if ids:
        yield f"for example / 例如: {' '.join(ids)}"
    yield from (f"warning {told_problem(warning)}" for warning in warnings)


def preview_object(found: Preview, opened: Opened, ids: Sequence[str], warnings: Sequence[Problem]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "as_of": opened.as_of.date().isoformat(),
        "customers": len(opened.version.everyone),
        "count": found.count,
        "sample": list(ids),
        "branches": [asdict(branch) for branch in found.branches],
        "seconds": round(found.seconds, 3),
        "remembered": found.remembered,
        "warnings": [asdict(warning) for warning in warnings],
    }


def statement_lines(statement: Statement) -> Iterator[str]:
    """A statement and the values of its parameters."""
    yield from statement.text.splitlines()
    yield from (f"-- ${name} = {_literal(value)}" for name, value in statement.values.items())


def _literal(value: Any) -> str:
    """A value as SQL writes it; moments and days are texts that it takes for them."""
    if isinstance(value, int | float | Decimal):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def explanation_lines(found: Explanation) -> Iterator[str]:
    """Whether the filter means the customer, and the tree that says why."""
    answer = "yes / 属于" if found.holds else "no / 不属于"
    yield f"{found.one_id} on {found.as_of.date()}: {answer}"
    yield from _node(found.root, 0)


def _node(node: ExplainedNode, level: int) -> Iterator[str]:
    space = "  " * level
    yield f"{space}{_mark(node.holds)} {node.path or '/'}  {_both(node.sentence)}"
    yield from (f"{space}    {line}" for line in _details(node))
    for part in node.parts:
        yield from _node(part, level + 1)


def _details(node: ExplainedNode) -> Iterator[str]:
    yield from map(_field, node.observed)
    for measure in node.measures:
        value = "***" if measure.is_hidden else _value(measure.value)
        yield f"{_mark(measure.holds)} {measure.path}  {_both(measure.sentence)}: {value}"
    for one in node.audiences:
        yield f"{_mark(one.holds)} {one.kind} {one.id} {one.name or ''}".rstrip()
    if node.rows is not None:
        yield f"rows kept / 符合的记录: {node.rows:,}"
    for row in node.evidence:
        step = "" if row.step is None else f"{row.step}. "
        yield f"- {step}{row.label.zh}: " + "; ".join(map(_field, (one for one in row.fields if one.value is not None)))
    if node.missing is not None:
        yield f"missing / 缺少: {_both(node.missing)}"


def _field(one: ShownField) -> str:
    value = "***" if one.is_hidden else _value(one.value)
    return f"{one.label.zh} {one.name} = {value}" + (f" ({one.text})" if one.text else "")


def _value(value: Any) -> str:
    if value is None:
        return "—"
    return "、".join(value) if isinstance(value, list) else str(value)


def _mark(holds: bool) -> str:
    return "✓" if holds else "✗"


def _both(sentence: Sentence) -> str:
    return f"{sentence.zh} / {sentence.en}"
