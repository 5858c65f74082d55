"""The catalogue that is published beside a version: every published table and column as dbt knows them.

Its `meta` is what filter fields and activity sources are made of; turning it into a filter catalogue belongs to
`segment_engine.catalog`.
"""

import json
from typing import Any

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import target_path

PUBLISHED_SCHEMAS = frozenset({"marts", "analyst", "meta"})


def catalog_json(settings: PipelineSettings) -> str:
    """The catalogue as JSON text, read from the manifest of the dbt run that built the marts."""
    manifest = json.loads((target_path(settings) / "manifest.json").read_text(encoding="utf-8"))
    return json.dumps(catalog_of(manifest), ensure_ascii=False, indent=1)


def catalog_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Published models of a dbt manifest: `{"format": 1, "tables": [{schema, name, description, meta, columns}]}`."""
    models = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in PUBLISHED_SCHEMAS
    ]
    tables = [_table(node) for node in sorted(models, key=lambda node: (node["schema"], node["name"]))]
    return {"format": 1, "tables": tables}


def _table(node: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": node["schema"],
        "name": node["alias"],
        "description": node["description"],
        "meta": node["config"].get("meta") or {},
        "columns": [
            {
                "name": column["name"],
                "data_type": column.get("data_type"),
                "description": column["description"],
                "meta": column.get("config", {}).get("meta") or column.get("meta") or {},
            }
            for column in node["columns"].values()
        ],
    }
