"""The `cdp` command in this process."""

import pytest
from typer.testing import CliRunner

from pipelines.settings import PipelineSettings


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def of(settings: PipelineSettings) -> dict[str, str]:
    """The environment in which a command works on this data directory."""
    return {"CDP_DATA_DIR": str(settings.data_dir)}
