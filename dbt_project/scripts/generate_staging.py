"""Writes the staging models, their YAML and the raw sources from the contracts.

One view per contract, the contract's column names, deleted rows and those of erased persons left out, nothing else.
What a column means for the business belongs to the intermediate and mart models.
`python dbt_project/scripts/generate_staging.py` rewrites the
files; `tests/dbt/test_staging_drift.py` fails when they differ from the contracts.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS = REPOSITORY / "pipelines" / "ingest" / "contracts"
MODELS = REPOSITORY / "dbt_project" / "models"
NOTICE = "written by dbt_project/scripts/generate_staging.py from the contracts; do not edit"

SOURCE_NAMES = {
    "leads": "线索管理",
    "mini_program": "微信小程序",
    "official_account": "微信服务号",
    "operational": "运营库(打卡、评价、权益)",
    "saas": "e看牙门诊系统",
    "wecom": "企业微信",
}

# How many days a table may go without an accepted batch before the night warns (the test tables_are_fresh); sources
# deliver every table daily, an empty day as an empty batch.
MAX_DAYS_WITHOUT_BATCH = 2


def expected_files(contracts: Path = CONTRACTS) -> dict[Path, str]:
    """The text of every generated file by its path below `models/`."""
    tables = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(contracts.glob("*/*.yml"))]
    files: dict[Path, str] = {Path("sources/raw.yml"): _sources_yaml(tables)}
    for source in sorted({table["source"] for table in tables}):
        own = [table for table in tables if table["source"] == source]
        folder = Path("staging") / source
        files[folder / f"_staging_{source}.yml"] = _models_yaml(own)
        for table in own:
            files[folder / f"{_model_name(table)}.sql"] = _model_sql(table)
    return files


def write_files(files: dict[Path, str], models: Path = MODELS) -> None:
    """Write the files and remove staging files that no contract asks for."""
    for path in (models / "staging").rglob("*"):
        if path.is_file() and path.relative_to(models) not in files:
            path.unlink()
    for relative, text in files.items():
        target = models / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def _model_name(table: dict[str, Any]) -> str:
    return f"stg_{table['source']}__{table['table']}"


def _model_sql(table: dict[str, Any]) -> str:
    columns = ",\n".join(f"    {column}" for column in [*table["columns"], "_batch_id"])
    relation = f"{{{{ source('raw', '{table['source']}__{table['table']}') }}}}"
    kept = ["is_deleted is distinct from true"] if "is_deleted" in table["columns"] else []
    if table["erasure"] == "restrict":
        # What the law makes clinics keep of an erased patient is stored, and read by nobody.
        kept += [f"not starts_with({name}, 'erased-')" for [(_, [name])] in map(dict.items, table["subjects"])]
    where = f"\nwhere {' and '.join(kept)}" if kept else ""
    return f"-- {NOTICE}\nselect\n{columns}\nfrom {relation}{where}\n"


def _models_yaml(tables: list[dict[str, Any]]) -> str:
    models = [
        {
            "name": _model_name(table),
            "description": table["grain"],
            "columns": [
                *({"name": name, "description": _column_text(column)} for name, column in table["columns"].items()),
                {"name": "_batch_id", "description": "带来该行的批次编号"},
            ],
        }
        for table in tables
    ]
    return _dump({"models": models})


def _sources_yaml(tables: list[dict[str, Any]]) -> str:
    source = {
        "name": "raw",
        "description": "各来源原始表:每个键一行,由接入层按契约校验后写入。",
        "database": "warehouse",
        "schema": "raw",
        "config": {"meta": {"max_days_without_batch": MAX_DAYS_WITHOUT_BATCH}},
        "tables": [
            {
                "name": f"{table['source']}__{table['table']}",
                "description": f"{SOURCE_NAMES[table['source']]}:{table['grain']}",
            }
            for table in tables
        ],
    }
    return _dump({"sources": [source]})


def _column_text(column: dict[str, Any]) -> str:
    allowed = column.get("allowed")
    unit = ",单位:分" if column["type"] == "money" else ""
    return f"{column['zh']}{unit}" + (f"({'、'.join(allowed)})" if allowed else "")


def _dump(document: dict[str, Any]) -> str:
    body = yaml.safe_dump({"version": 2, **document}, allow_unicode=True, sort_keys=False, width=120)
    return f"# {NOTICE}\n{body}"


if __name__ == "__main__":
    write_files(expected_files())
    sys.stdout.write("staging models and sources written\n")
