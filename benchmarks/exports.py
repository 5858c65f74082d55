"""Exporting 100,000 rows of 15 columns: our writers beside openpyxl's, and beside DuckDB's own CSV writer.

    python -m benchmarks.exports [--rows 100000] [--runs 3]

Every writer runs in a process of its own, which first reads the rows once without writing them. Prints, per writer, the
best run's seconds, CPU-seconds of all threads, peak memory, what of it the writing added, and the file's size.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from api.exports.csv import write_csv
from api.exports.sheet import Column
from api.exports.xlsx import write_xlsx

ZONE = "Asia/Shanghai"
COLUMNS = (
    Column("one_id", "客户编号", "text"),
    Column("nickname", "昵称", "text"),
    Column("name", "姓名", "text"),
    Column("phone", "手机号", "text"),
    Column("gender", "性别", "text"),
    Column("city", "城市", "text"),
    Column("clinic", "门诊", "text"),
    Column("note", "备注", "text"),
    Column("visits", "到诊次数", "integer"),
    Column("points", "积分", "integer"),
    Column("amount", "消费金额", "decimal"),
    Column("birth_date", "生日", "day"),
    Column("first_visit_at", "首次到诊", "moment"),
    Column("last_visit_at", "最近到诊", "moment"),
    Column("is_member", "会员", "flag"),
)
QUERY = f"select {', '.join(column.name for column in COLUMNS)} from customer order by number"
out = Console(width=120)

Write = Callable[[duckdb.DuckDBPyConnection, Path], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one export took; `added_mib` is the peak beyond the same process after reading the rows."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    added_mib: float
    file_mb: float


def main() -> None:
    """Measure every writer, or, called by itself, one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("WRITER", "DATABASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        writer, database = arguments.one
        print(json.dumps(asdict(_measure(WRITERS[writer], Path(database)))))
        return
    with tempfile.TemporaryDirectory(prefix="cdp-benchmark-") as folder:
        database = Path(folder) / "customers.duckdb"
        _generate(database, arguments.rows)
        costs = {writer: _best(writer, database, arguments.runs) for writer in WRITERS}
    _show(costs, arguments.rows)


def _generate(database: Path, rows: int) -> None:
    """Believable customers: short Chinese texts, some nulls, a note that needs escaping."""
    with duckdb.connect(str(database)) as con:
        con.execute(f"set TimeZone = '{ZONE}'")
        con.execute(
            """
            create table customer as
            select
                number,
                'C' || lpad(number::varchar, 8, '0') as one_id,
                '昵称' || hash(number, 'nickname') % 10000 as nickname,
                '王李张刘陈'[1 + (hash(number) % 5)::integer]
                || chr((19968 + hash(number, 'name') % 3000)::integer) as name,
                '+861' || (3000000000 + hash(number, 'phone') % 999999999) as phone,
                ['女', '男', null][1 + (hash(number, 'gender') % 3)::integer] as gender,
                ['上海市', '杭州市', '苏州市'][1 + (hash(number, 'city') % 3)::integer] as city,
                '门诊' || hash(number, 'clinic') % 30 as clinic,
                if(hash(number, 'note') % 4 = 0, '术后 <3 天 & "复诊"\n第 ' || number || ' 条', null) as note,
                (hash(number, 'visits') % 100)::integer as visits,
                (hash(number, 'points') % 100000)::bigint as points,
                ((hash(number, 'amount') % 1000000) / 100)::decimal(12, 2) as amount,
                date '1950-01-01' + (hash(number, 'birth') % 25000)::integer as birth_date,
                timestamptz '2024-01-01' + to_seconds((hash(number, 'first') % 80000000)::bigint) as first_visit_at,
                timestamptz '2024-01-01' + to_seconds((hash(number, 'last') % 80000000)::bigint) as last_visit_at,
                hash(number, 'member') % 2 = 0 as is_member
            from range($rows) as customers (number)
            """,
            {"rows": rows},
        )


def _best(writer: str, database: Path, runs: int) -> Cost:
    command = [sys.executable, "-m", "benchmarks.exports", "--one", writer, str(database)]
    done = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(runs)]
    return min((Cost(**json.loads(line)) for line in done), key=lambda cost: cost.seconds)


def _measure(write: Write, database: Path) -> Cost:
    file = database.with_name("export")
    with duckdb.connect(str(database), read_only=True, config={"threads": 2}) as con:
        con.execute(f"set TimeZone = '{ZONE}'")
        con.execute(QUERY)
        while con.fetchmany(1_000):
            pass
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        write(con, file)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Cost(
        seconds=seconds,
        processor_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        peak_mib=after.ru_maxrss / 1024,
        added_mib=(after.ru_maxrss - before.ru_maxrss) / 1024,
        file_mb=file.stat().st_size / 1e6,
    )


def _our_xlsx(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    write_xlsx(file, con, QUERY, {}, COLUMNS, timezone=ZONE, on_progress=lambda rows: None)


def _our_csv(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    write_csv(file, con, QUERY, {}, COLUMNS, timezone=ZONE, on_progress=lambda rows: None)


def _openpyxl(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    """openpyxl as its manual streams; it knows no zones, so moments lose theirs, and no widths or formats are asked."""
    from openpyxl import Workbook  # noqa: PLC0415, its memory belongs to nobody else

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append([column.label for column in COLUMNS])
    con.execute(QUERY)
    while rows := con.fetchmany(1_000):
        for row in rows:
            sheet.append([value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row])
    book.save(file)


def _duckdb_csv(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    con.execute(f"copy ({QUERY}) to '{file}' (format csv, header)")


WRITERS: dict[str, Write] = {
    "ours, XLSX": _our_xlsx,
    "openpyxl write_only": _openpyxl,
    "ours, CSV": _our_csv,
    "DuckDB copy to CSV": _duckdb_csv,
}


def _show(costs: dict[str, Cost], rows: int) -> None:
    title = f"{rows:,} rows x {len(COLUMNS)} columns"
    table = Table("writer", "seconds", "CPU s", "peak MiB", "added MiB", "file MB", title=title, title_justify="left")
    for writer, cost in costs.items():
        table.add_row(
            writer,
            f"{cost.seconds:.2f}",
            f"{cost.processor_seconds:.2f}",
            f"{cost.peak_mib:,.0f}",
            f"{cost.added_mib:,.0f}",
            f"{cost.file_mb:.1f}",
        )
    out.print(table)
    for ours, theirs in (("ours, XLSX", "openpyxl write_only"), ("ours, CSV", "DuckDB copy to CSV")):
        clock = costs[ours].seconds / costs[theirs].seconds
        processors = costs[ours].processor_seconds / costs[theirs].processor_seconds
        out.print(f"ratio {ours} / {theirs}: {clock:.3f} of the seconds, {processors:.3f} of the CPU-seconds")


if __name__ == "__main__":
    main()
