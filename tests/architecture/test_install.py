"""Setting up on a machine that has python3 and nothing around it: no uv, no pip, no ensurepip."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.http_server import Answer, http_server

REPOSITORY = Path(__file__).resolve().parents[2]
UV = "0.13.9"
WHEEL = f"uv-{UV}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64.whl"
# Says what it was asked to do, and makes the interpreter that the next command needs.
FAKE_UV = """#!/bin/sh
echo "$@" >> "$UV_LOG"
[ "$1" = venv ] && mkdir -p .venv/bin && ln -sf "$UV_PYTHON_USED" .venv/bin/python
exit 0
"""


@pytest.fixture
def wheel() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"uv-{UV}.data/scripts/uv", FAKE_UV)
    return content.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What setup reads of the repository, in a folder of its own."""
    folder = tmp_path / "project"
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts")
    for name in ("pyproject.toml", "requirements.lock", "Makefile"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture
def bare_machine(tmp_path: Path) -> dict[str, str]:
    """An environment whose python3 has neither pip nor ensurepip, and whose PATH has no uv."""
    hidden = tmp_path / "hidden"
    for name in ("pip", "ensurepip"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text(f"raise ModuleNotFoundError({name!r})", encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={hidden} exec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    for name in ("bash", "dirname", "mkdir", "ln", "make", "touch", "grep", "awk"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return {
        "PATH": str(programs),
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_LOG": str(tmp_path / "uv.log"),
        "UV_PYTHON_USED": sys.executable,
    }


@pytest.fixture(params=["json", "html"])
def index(request: pytest.FixtureRequest, wheel: bytes) -> Iterator[str]:
    sha256 = hashlib.sha256(wheel).hexdigest()
    page = {
        "json": json.dumps({"files": [{"filename": WHEEL, "url": f"../../f/{WHEEL}", "hashes": {"sha256": sha256}}]}),
        "html": f'<a href="../../f/{WHEEL}#sha256={sha256}">{WHEEL}</a>',
    }[request.param]
    with serve(("application/vnd.pypi.simple.v1+json" if request.param == "json" else "text/html", page), wheel) as url:
        yield url


@contextmanager
def serve(page: tuple[str, str], wheel: bytes) -> Iterator[str]:
    """A package index on this machine with one wheel; `page` is the media type and text of the project's page."""
    kind, text = page

    def reply(path: str) -> Answer:
        return Answer(wheel, "application/zip") if path.endswith(".whl") else Answer(text.encode(), kind)

    with http_server(reply) as address:
        yield f"{address}/simple/"


def install(project: Path, environment: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(project / "scripts/install")],
        cwd=project,
        env=environment | more,
        capture_output=True,
        text=True,
        check=False,
    )


on_x86_linux = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="the index of this test has one wheel"
)


@on_x86_linux
def test_setup_needs_neither_uv_nor_pip_nor_ensurepip(
    project: Path, bare_machine: dict[str, str], index: str, tmp_path: Path
) -> None:
    done = install(project, bare_machine, PIP_INDEX_URL=index)

    assert done.returncode == 0, done.stderr
    made, *filled = (tmp_path / "uv.log").read_text(encoding="utf-8").splitlines()
    asked = made.split()
    assert Path(asked.pop(4)).samefile(sys.executable)
    assert asked == ["venv", "--quiet", "--allow-existing", "--python", "--no-python-downloads", ".venv"]
    assert [line.split()[:2] for line in filled] == [["pip", "sync"], ["pip", "install"]]


@on_x86_linux
def test_the_index_is_read_from_pips_configuration(
    project: Path, bare_machine: dict[str, str], index: str, tmp_path: Path
) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = {index}\n", encoding="utf-8")

    assert install(project, bare_machine).returncode == 0


@on_x86_linux
def test_a_wheel_with_another_checksum_is_refused(project: Path, bare_machine: dict[str, str], wheel: bytes) -> None:
    page = json.dumps({"files": [{"filename": WHEEL, "url": f"../../f/{WHEEL}", "hashes": {"sha256": "0" * 64}}]})

    with serve(("application/vnd.pypi.simple.v1+json", page), wheel) as index:
        done = install(project, bare_machine, PIP_INDEX_URL=index)

    assert done.returncode == 1
    assert "SHA-256" in done.stderr
    assert "无法获取 uv" in done.stderr
    assert not (project / ".venv/uv/bin/uv").exists()


@pytest.mark.parametrize(("version", "accepted"), [("3.10.9", 1), ("3.11.0", 0), ("3.13.9", 0), ("3.14.0", 1)])
def test_an_interpreter_outside_the_bounds_is_refused_in_both_languages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str, accepted: int
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import check_python  # type: ignore[import-not-found]  # noqa: PLC0415

    monkeypatch.setattr(sys, "version_info", tuple(int(part) for part in version.split(".")))
    monkeypatch.setattr(sys, "version", f"{version} (main)")
    code = check_python.main()

    said = capsys.readouterr().err
    assert code == accepted
    if code:
        assert f"{version}; name another one" in said
        assert "需要 Python 3.11-3.13" in said


def test_a_machine_without_python_is_told_what_is_needed(project: Path, bare_machine: dict[str, str]) -> None:
    done = install(project, bare_machine, PYTHON="python3-that-is-not-there")

    assert done.returncode == 1
    assert "需要 Python" in done.stderr
