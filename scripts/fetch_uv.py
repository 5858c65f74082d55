"""Fetch uv's program from the package index, with nothing but Python: `fetch_uv.py VERSION FOLDER`.

Debian's and Ubuntu's python3 come without ensurepip, so `python3 -m venv` fails there until root installs more. A wheel
is a zip file, and the index names its SHA-256: that is all it takes. Where pip is at hand it does the download, since
it knows every way in which an index can be configured (proxies, passwords, several indexes).
"""

import configparser
import hashlib
import json
import os
import platform
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

PUBLIC_INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
SECONDS = 120


def main(version: str, folder: str) -> int:
    """Fetch, check, unpack; a sentence and exit code 1 when uv cannot be had."""
    try:
        program = pip_wheel(version) or index_wheel(version)
    except (OSError, ValueError, LookupError) as error:
        sys.stderr.write(
            f"uv {version} could not be fetched: {error}\n"
            "Check the network or PIP_INDEX_URL, or install uv yourself (like: pipx install uv), then try again.\n"
            "无法获取 uv:请检查网络或 PIP_INDEX_URL,或自行安装 uv(例如 pipx install uv)后重试。\n"
        )
        return 1
    target = Path(folder) / "uv"
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(".uv.tmp")
    hidden.write_bytes(program)
    hidden.chmod(0o755)
    hidden.replace(target)
    return 0


def pip_wheel(version: str) -> bytes | None:
    """uv's program out of the wheel that pip downloads and checks; None where there is no pip or it finds none."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", place, f"uv=={version}"]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  (words of ours)
        wheels = list(Path(place).glob("uv-*.whl"))
        return unpack(wheels[0].read_bytes()) if done.returncode == 0 and wheels else None


def index_wheel(version: str) -> bytes:
    """uv's program out of the wheel that the index offers for this machine, its SHA-256 checked."""
    index, context = index_url(), ssl.create_default_context(cafile=configured("cert"))
    page = f"{index.rstrip('/')}/uv/"
    content, kind = download(page, context)
    files = json_files(content) if "json" in kind else html_files(content)
    name, (address, sha256) = choose(files, version)
    wheel, _ = download(urljoin(page, address), context)
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise ValueError(f"{name} has another SHA-256 than the index says / 校验值与索引不符")
    return unpack(wheel)


def index_url() -> str:
    """The index that pip would ask; a password in its address needs pip itself."""
    index = configured("index-url") or PUBLIC_INDEX
    if "@" in urlsplit(index).netloc:
        raise ValueError("the index needs a password, which takes pip / 索引需要密码,请安装 pip")
    return index


def configured(key: str) -> str | None:
    """One of pip's settings, from where pip reads it: the environment, then its files, the nearest first."""
    home, etc = Path.home(), Path("/etc")
    files = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", etc / "xdg/pip/pip.conf", etc / "pip.conf"]
    if os.environ.get("PIP_CONFIG_FILE"):
        files.insert(0, Path(os.environ["PIP_CONFIG_FILE"]))
    value = os.environ.get("PIP_" + key.upper().replace("-", "_"))
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        value = value or parser.get("download", key, fallback=None) or parser.get("global", key, fallback=None)
    return value


def download(address: str, context: ssl.SSLContext) -> tuple[bytes, str]:
    """Content and media type of an address of the index."""
    request = urllib.request.Request(address, headers={"Accept": ACCEPT})  # noqa: S310  (the index of the user's choice)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=context) as answer:  # noqa: S310
            return answer.read(), answer.headers.get("Content-Type", "")
    except urllib.error.URLError as error:
        raise OSError(f"{address}: {error}") from error


def json_files(content: bytes) -> dict[str, tuple[str, str]]:
    """Address and SHA-256 by file name, from an index that answers JSON (PEP 691)."""
    return {file["filename"]: (file["url"], file["hashes"].get("sha256", "")) for file in json.loads(content)["files"]}


def html_files(content: bytes) -> dict[str, tuple[str, str]]:
    """The same from an index that answers HTML (PEP 503): the hash stands behind the address."""
    files = {}

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            address, fragment = urldefrag(dict(attrs).get("href") or "")
            files[unquote(address.rsplit("/", 1)[-1])] = (address, fragment.removeprefix("sha256="))

    Links().feed(content.decode("utf-8"))
    return files


def choose(files: dict[str, tuple[str, str]], version: str) -> tuple[str, tuple[str, str]]:
    """The wheel whose name says this version and this machine: `manylinux_2_17_x86_64`, `macosx_11_0_arm64`."""
    system, machine = platform.system(), platform.machine()
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    family = {"Linux": libc, "Darwin": "macosx"}.get(system, system)
    wanted = re.compile(rf"(^|\.){family}_[0-9_]*{re.escape(machine)}($|\.)")
    for name, found in files.items():
        parts = name.removesuffix(".whl").split("-")
        if name.endswith(".whl") and parts[:2] == ["uv", version] and wanted.search(parts[-1]):
            return name, found
    raise LookupError(f"the index has no uv {version} for {system} {machine} / 索引中没有适合本机的 uv")


def unpack(wheel: bytes) -> bytes:
    """The program in a wheel of uv."""
    with tempfile.TemporaryFile() as file:
        file.write(wheel)
        with zipfile.ZipFile(file) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith("/scripts/uv")))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
