"""Facts about the repository itself that documents and habits promise."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def project() -> dict[str, list[str]]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return {"direct": settings["project"]["dependencies"], "dev": settings["dependency-groups"]["dev"]}


def package_name(requirement: str) -> str:
    return re.split(r"[<>=\[;]", requirement)[0].strip().lower()


def test_every_direct_dependency_is_named_with_its_reason() -> None:
    text = (REPOSITORY / "docs/dependencies.md").read_text(encoding="utf-8").lower()

    missing = [
        name for name in map(package_name, project()["direct"]) if not re.search(rf"\b{re.escape(name)}\b", text)
    ]

    assert missing == []


def test_dependencies_document_names_nothing_that_is_gone() -> None:
    table = (REPOSITORY / "docs/dependencies.md").read_text(encoding="utf-8")
    named = {
        name.strip()
        for row in re.findall(r"^\| ([a-z0-9, -]+) \|", table, flags=re.MULTILINE)
        for name in row.split(",")
        if name.strip() not in {"package", "---"}
    }

    assert named <= {package_name(requirement) for requirement in project()["direct"]}


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")

    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://", lock)


def test_every_package_folder_can_be_seen_by_the_import_linter() -> None:
    folders = {
        file.parent for room in ("segment_engine", "pipelines", "api") for file in (REPOSITORY / room).rglob("*.py")
    }

    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_says_what_lives_in_it() -> None:
    modules = [file for room in ("segment_engine", "pipelines", "api") for file in (REPOSITORY / room).rglob("*.py")]
    silent = [
        str(file.relative_to(REPOSITORY))
        for file in modules
        if file.read_text(encoding="utf-8").strip() and not file.read_text(encoding="utf-8").startswith('"""')
    ]

    assert silent == []


def test_every_setting_is_described_in_both_languages() -> None:
    from api.settings import ApiSettings  # noqa: PLC0415
    from pipelines.settings import PipelineSettings  # noqa: PLC0415

    fields = {**PipelineSettings.model_fields, **ApiSettings.model_fields}

    assert [
        name
        for name, field in fields.items()
        if not re.search(r"[A-Za-z] / .*[\u4e00-\u9fff]", field.description or "")
    ] == []
