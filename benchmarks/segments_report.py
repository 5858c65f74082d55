"""What was measured, as tables, and which targets it meets. Measuring belongs to `segments_runs.py`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.segments_runs import Outcome
from benchmarks.segments_world import TIMES, Built

PLAN: Final = "plan"
ALONE: Final = "plan, engine's tables alone"
CLICKHOUSE: Final = ("ClickHouse, bitmaps", "ClickHouse, IN")


class DifferentMembersError(Exception):
    """A strategy found other customers than the plan."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Outcomes by strategy and number of rules.

    usual: the number at which targets are judged; fourfold: outcomes on the quadruple, by strategy
    """

    built: Built
    sizes: tuple[int, ...]
    usual: int
    outcomes: Mapping[tuple[str, int], Outcome]
    fourfold: Mapping[str, Outcome]

    def cheaper(self, which: str) -> tuple[str, Outcome]:
        """The reading of B0 or B1 that takes less, and what it takes."""
        readings = {name: self.outcomes[f"{which} {name}", 0] for name in ("marts", "engine")}
        return min(readings.items(), key=lambda one: one[1].processor_seconds)

    def at_usual(self, name: str) -> Outcome:
        return self.outcomes[name, self.usual]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what is asked, what was found, and whether that is enough; None where it was not measured."""

    target: str
    asked: str
    found: str
    is_met: bool | None


def show(measured: Measured, out: Console) -> None:
    """Print everything; raises DifferentMembersError."""
    _check_members(measured, out)
    out.print(_built_words(measured))
    out.print(_strategies(measured))
    out.print(_growth(measured))
    for words in _words(measured):
        out.print(words)
    out.print(_verdicts(measured))


def _check_members(measured: Measured, out: Console) -> None:
    """Every strategy must have found the members that the plan found, of every rule that it was asked."""
    for (name, rules), outcome in measured.outcomes.items():
        if not outcome.members:
            continue
        expected = measured.outcomes[PLAN, rules].members
        wrong = [rule for rule, totals in outcome.members.items() if expected[rule] != totals]
        if wrong:
            raise DifferentMembersError(f"{name}, {rules} rules: {', '.join(wrong)}")
        if missing := sorted(expected.keys() - outcome.members.keys(), key=int):
            out.print(f"{name}, {rules} rules: the same members; cannot say rules {', '.join(missing)}")


def _built_words(measured: Measured) -> str:
    built = measured.built
    return (
        f"engine's tables: {built.seconds:.1f} s, {built.processor_seconds:.1f} CPU-s, {built.tables_mib:,.0f} MiB"
        f" beside {built.marts_mib:,.0f} MiB of marts"
    )


def _strategies(measured: Measured) -> Table:
    name, pass_ = measured.cheaper("B1")
    table = Table("strategy", "rules", "seconds", "CPU-s", "peak MiB", f"x B1 ({name}), CPU", "x B1, clock")
    for (strategy, rules), outcome in measured.outcomes.items():
        table.add_row(
            strategy,
            str(rules) if rules else "",
            f"{outcome.seconds:.2f}",
            f"{outcome.processor_seconds:.2f}",
            f"{outcome.peak_mib:,.0f}",
            f"{outcome.processor_seconds / pass_.processor_seconds:.2f}",
            f"{outcome.seconds / pass_.seconds:.2f}",
        )
    for strategy, outcome in measured.fourfold.items():
        cost = (f"{outcome.seconds:.2f}", f"{outcome.processor_seconds:.2f}", f"{outcome.peak_mib:,.0f}")
        table.add_row(f"{strategy}, x{TIMES} data", str(measured.usual) if "plan" in strategy else "", *cost)
    return table


def _growth(measured: Measured) -> Table:
    """CPU-seconds by number of rules, and the last as a multiple of the first."""
    table = Table("CPU-s", *map(str, measured.sizes), "last : first")
    for name in dict.fromkeys(name for name, _ in measured.outcomes):
        found = {size: measured.outcomes[name, size] for size in measured.sizes if (name, size) in measured.outcomes}
        if len(found) < 2:
            continue
        cells = [f"{found[size].processor_seconds:.2f}" if size in found else "-" for size in measured.sizes]
        first, *_, last = found.values()
        span = f"{max(found)} : {min(found)} = {last.processor_seconds / first.processor_seconds:.1f}"
        table.add_row(name, *cells, span)
    return table


def _words(measured: Measured) -> Iterator[str]:
    """What is no row of a table."""
    told = measured.at_usual(PLAN).told
    yield (
        f"{measured.usual} rules: {told['uses']} uses of {told['leaves']} leaves, {told['statements']} statements,"
        f" {told['rows']:,} rows read; the slowest statements:"
    )
    yield from (f"  {milliseconds} ms, {rows:,} rows: {text}" for milliseconds, rows, text in told["slowest"])
    phases = ", ".join(f"{name} {spent:.2f}" for name, spent in measured.at_usual("compile").told.items())
    yield f"compile, ms a rule: {phases}"
    night = measured.at_usual("night").told
    yield f"night: {night['memberships']:,} memberships, {night['entered']:,} entered, {night['left']:,} left"
    yield "  " + ", ".join(f"{name} {seconds * 1000:,.0f} ms" for name, (seconds, _) in night["costs"].items())
    yield "  " + ", ".join(f"{name}.parquet {mib:.1f} MiB" for name, mib in night["mib"].items())
    preview = measured.at_usual("preview").told
    yield "preview, p50 / p95 ms: " + ", ".join(f"{name} {p50:.2f} / {p95:.2f}" for name, (p50, p95) in preview.items())


def _verdicts(measured: Measured) -> Table:
    table = Table("target", "asked", "found", "")
    for one in _judged(measured):
        table.add_row(
            one.target, one.asked, one.found, {True: "met", False: "missed", None: "not measured"}[one.is_met]
        )
    return table


def _judged(measured: Measured) -> Iterator[Verdict]:
    b1 = measured.cheaper("B1")[1].processor_seconds
    ours = measured.at_usual(PLAN)
    yield _at_most("T1", ours.processor_seconds / b1, 1.0, f"{measured.usual} rules : B1")
    yield from _against_others(measured)
    yield from _growing(measured)
    yield from _with_more_data(measured)
    yield Verdict("T5", "an incremental night <= 0.5 x B1", "not built", None)
    yield from _at_night(measured)
    yield _at_most("T7", ours.peak_mib, 700, "peak MiB")
    if measured.fourfold:
        yield _at_most("T7", measured.fourfold[ALONE].peak_mib, 2048, f"peak MiB, x{TIMES} data")
    yield from _waited_for(measured)


def _against_others(measured: Measured) -> Iterator[Verdict]:
    yield from _times_faster(measured, ("GROUP BY, engine",), 10)
    yield from _times_faster(measured, ("EXISTS, marts",), 30)
    yield from _times_faster(measured, CLICKHOUSE, 5)


def _times_faster(measured: Measured, names: tuple[str, ...], least: float) -> Iterator[Verdict]:
    """Against the best of these, with the most rules that they and the plan were run with."""
    sizes = [size for size in measured.sizes if any((name, size) in measured.outcomes for name in names)]
    if not sizes:
        yield Verdict("T2", f">= {least:g} x faster than {' or '.join(names)}", "", None)
        return
    rules = min(max(sizes), measured.usual)
    theirs = min(
        measured.outcomes[name, rules].processor_seconds for name in names if (name, rules) in measured.outcomes
    )
    times = theirs / measured.outcomes[PLAN, rules].processor_seconds
    words = f"than the best of {' or '.join(names)}, {rules} rules"
    yield Verdict("T2", f">= {least:g} x faster {words}", f"{times:.1f}", times >= least)


def _growing(measured: Measured) -> Iterator[Verdict]:
    spent = {size: measured.outcomes[PLAN, size].processor_seconds for size in measured.sizes}
    for few, many, most in ((150, 500, 3.0), (10, 500, 12.0)):
        if few in spent and many in spent:
            yield _at_most("T3", spent[many] / spent[few], most, f"{many} rules : {few} rules")


def _with_more_data(measured: Measured) -> Iterator[Verdict]:
    """The quadruple has no marts: B1 there is what the cheaper reading would take if it grew as that of the tables."""
    if not measured.fourfold:
        yield Verdict("T4", f"x{TIMES} data", "", None)
        return
    more, once = measured.fourfold[ALONE], measured.at_usual(ALONE)
    yield _at_most("T4", more.processor_seconds / once.processor_seconds, 5.2, f"x{TIMES} data : x1")
    grown = measured.fourfold["B1 engine"].processor_seconds / measured.outcomes["B1 engine", 0].processor_seconds
    b1 = measured.cheaper("B1")[1].processor_seconds * grown
    yield _at_most("T4", more.processor_seconds / b1, 1.0, f"{measured.usual} rules : B1, x{TIMES} data")


def _at_night(measured: Measured) -> Iterator[Verdict]:
    costs = measured.at_usual("night").told["costs"]
    spent = {name: processor for name, (_, processor) in costs.items()}
    after = spent["difference"] + spent["log"] + spent["bitmaps"]
    ours = measured.at_usual(PLAN).processor_seconds
    yield _at_most("T6", after / ours, 0.35, "difference, log and bitmaps : evaluation")
    times = spent["anti joins"] / spent["difference"]
    yield Verdict("T6", ">= 40 x faster than anti joins", f"{times:.0f}", times >= 40)


def _waited_for(measured: Measured) -> Iterator[Verdict]:
    name, pass_ = measured.cheaper("B0")
    told = measured.at_usual("preview").told
    b0 = pass_.seconds * 1000
    yield _at_most("T8", told["cold"][1] / b0, 4.0, f"cold p95 : B0 ({name}, {b0:.0f} ms)")
    yield _at_most("T8", told["edited"][0] / b0, 0.2, "one leaf edited, p50 : B0")
    yield _at_most("T8", told["cached"][1], 1.0, "cached p95, ms")


def _at_most(target: str, found: float, most: float, words: str) -> Verdict:
    return Verdict(target, f"{words} <= {most:g}", f"{found:.2f}" if found < 100 else f"{found:,.0f}", found <= most)
