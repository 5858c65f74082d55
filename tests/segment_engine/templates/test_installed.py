"""Templates are data in the package: a wheel without them would fail only where it is installed."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from segment_engine.templates import all_templates

REPOSITORY = Path(__file__).parents[3]


def test_a_wheel_holds_every_file_of_templates(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]

    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    folder = "segment_engine/templates/"
    held = [name for name in ZipFile(wheel).namelist() if name.startswith(folder) and name.endswith(".yml")]
    assert len(held) == len(all_templates().tag_groups) + 1
