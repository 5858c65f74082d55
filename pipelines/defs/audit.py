"""Checks of the published version itself."""

import dagster as dg

from pipelines.defs.publish import PUBLISHED
from pipelines.defs.resources import Platform
from pipelines.warehouse.publish import content_facts, current_pointer


@dg.asset_check(asset=PUBLISHED, description="The served file holds the rows and contents that CURRENT claims.")
def published_version_is_whole(platform: Platform) -> dg.AssetCheckResult:
    """Recount the served file."""
    settings = platform.settings()
    pointer = current_pointer(settings.folders)
    if pointer is None:
        return dg.AssetCheckResult(passed=False, metadata={"reason": "nothing is published"})
    counts, hashes = content_facts(settings.folders.published / pointer.file, timezone=settings.timezone)
    passed = counts == pointer.row_counts and hashes == pointer.content_hashes
    return dg.AssetCheckResult(passed=passed, metadata={"version": pointer.version, "tables": len(counts)})
