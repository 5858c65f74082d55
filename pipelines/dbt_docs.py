"""`make docs`: dbt's documentation of every model and column as one page that opens without a server."""

import shutil
import sys
from pathlib import Path

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import DbtFailedError, run_dbt, target_path
from pipelines.warehouse.lock import WarehouseBusy, writer_lock
from pipelines.warehouse.publish import current_pointer

PAGE = Path("docs/build/dbt.html")


def main() -> int:
    """Write the page; types and row counts in it come from the data directory's newest night."""
    settings = PipelineSettings()
    pointer = current_pointer(settings.folders)
    if pointer is None:
        sys.stderr.write("nothing is published yet: run `make demo` or `cdp nightly` first / 尚无已发布的数据\n")
        return 1
    try:
        with writer_lock(settings.folders, wait_seconds=settings.lock_wait_seconds, owner="make docs"):
            run_dbt(settings, ["docs", "generate", "--static"], as_of=pointer.as_of)
    except (WarehouseBusy, DbtFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target_path(settings) / "static_index.html", PAGE)
    sys.stdout.write(f"{PAGE}: {PAGE.stat().st_size / (1 << 20):.1f} MiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
