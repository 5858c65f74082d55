"""What dbt parsed once, for data directories at other places: by itself it parses the whole project for each place."""

import os
from argparse import Namespace
from collections.abc import Callable
from datetime import date
from pathlib import Path
from pprint import pformat
from shutil import copyfile

from pipelines.settings import PipelineSettings
from pipelines.warehouse.dbt import PROJECT_DIR, dbt_environment, run_dbt, target_path

CACHE = "partial_parse.msgpack"
LendParsed = Callable[[PipelineSettings], None]


def parse(root: Path) -> None:
    """Parse the project for a data directory in which nothing else has happened."""
    settings = PipelineSettings(data_dir=root)
    settings.folders.build.mkdir(parents=True)
    run_dbt(settings, ["parse"], as_of=date(2026, 11, 20))


def lend(giver: Path, taker: PipelineSettings) -> None:
    """Let dbt find in `taker`'s directory what it parsed for the directory `giver`.

    Nothing in what it parsed depends on the place but a hash of the connection, by which dbt tells places apart.
    """
    target = target_path(taker)
    target.mkdir(parents=True, exist_ok=True)
    copyfile(target_path(PipelineSettings(data_dir=giver)) / CACHE, target / CACHE)
    parsed, here = (target / CACHE).read_bytes(), _connection_hash(PipelineSettings(data_dir=giver))
    assert parsed.count(here) == 1
    (target / CACHE).write_bytes(parsed.replace(here, _connection_hash(taker)))


def _connection_hash(settings: PipelineSettings) -> bytes:
    """As dbt's ManifestLoader.build_manifest_state_check makes it."""
    from dbt.artifacts.resources import FileHash  # noqa: PLC0415  (importing dbt costs seconds)
    from dbt.config.runtime import load_profile  # noqa: PLC0415
    from dbt.flags import set_from_args  # noqa: PLC0415
    from dbt_common.context import set_invocation_context  # noqa: PLC0415

    with dbt_environment(settings, date(2026, 11, 20)):
        set_invocation_context(os.environ)
        set_from_args(Namespace(PROFILES_DIR=str(PROJECT_DIR)), {})
        profile = load_profile(str(PROJECT_DIR), {})
    return FileHash.from_contents(pformat(sorted(profile.credentials.connection_info()))).checksum.encode()
