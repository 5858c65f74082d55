"""The pipeline's end of the parser processes: started when first needed, kept, started again after a crash or timeout.

What happens inside the process belongs to `pipelines.ingest.worker`.
"""

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pipelines
from pipelines.ingest.parse_messages import ParseReply, ParseRequest
from pipelines.ingest.quarantine import refusal

ADDRESS_SPACE_BYTES = 8 << 30
START_SECONDS = 60.0
MIN_TIMEOUT_SECONDS = 120.0
# A file that is read slower than this is stuck, not large.
SLOWEST_BYTES_PER_SECOND = 1_000_000
READ_BYTES = 1 << 16
# The parser gets what Python needs to start, and none of the pipeline's settings or secrets.
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONHOME", "LD_LIBRARY_PATH")
# Where the parser process finds this package.
SEARCH_PATH = [str(Path(pipelines.__file__).resolve().parent.parent)]


class ParserUnavailable(Exception):  # noqa: N818 -- a state
    """The parser process does not start: our defect or the machine's, never a batch's, so no batch is refused."""


class Parser(Protocol):
    """Whoever turns a landed file into staged rows."""

    def parse(self, request: ParseRequest) -> ParseReply:
        """Parse one file; every failure is a reply with a problem."""
        ...


class ParserProcess:
    """A persistent child process that parses untrusted files; a context manager that ends it."""

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the running parser, if any."""
        return self._process.pid if self._process else None

    def parse(self, request: ParseRequest) -> ParseReply:
        """Parse one file; a crash answers `parser_crashed`, a stuck parser `parser_timeout`. Threads take turns."""
        with self._turn:
            return self._ask(request)

    def _ask(self, request: ParseRequest) -> ParseReply:
        process = self._running()
        seconds = self._timeout_seconds or _timeout_for(request.file)
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request.to_json()).encode() + b"\n")
            process.stdin.flush()
            answer = _read_line(process, seconds)
            if answer is None:
                self.close()
                return ParseReply(problem=refusal("parser_timeout", request.file.name, seconds=round(seconds)))
            reply = ParseReply.from_json(json.loads(answer))
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            self.close()
            return ParseReply(problem=refusal("parser_crashed", request.file.name))
        if reply.problem is not None and reply.problem.code == "parser_crashed":
            # It said so with its last breath; the next file must not be written to a dying process.
            self.close()
        return reply

    def close(self) -> None:
        """End the process; the next `parse` starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(SEARCH_PATH)
        environment["PYTHONUTF8"] = "1"
        self._process = subprocess.Popen(  # noqa: S603 -- our own module, no argument from outside
            [sys.executable, "-m", "pipelines.ingest.worker", str(ADDRESS_SPACE_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        if _first_answer(self._process) != b"ready\n":
            self.close()
            raise ParserUnavailable("the parser process does not start; its reason is on stderr / 解析进程无法启动")
        return self._process


class ParserPool:
    """Parser processes that work side by side, each at one file; to be closed."""

    def __init__(self, size: int) -> None:
        self._all = [ParserProcess() for _ in range(size)]
        self._free: queue.SimpleQueue[ParserProcess] = queue.SimpleQueue()
        self._closed = False
        for parser in self._all:
            self._free.put(parser)

    def parse(self, request: ParseRequest) -> ParseReply:
        """Parse one file in a process that is free, waiting for one; answers like `ParserProcess.parse`."""
        parser = self._free.get()
        try:
            if self._closed:
                return ParseReply(problem=refusal("parser_crashed", request.file.name))
            return parser.parse(request)
        finally:
            self._free.put(parser)

    def close(self) -> None:
        """End all processes, also those at work; nothing is parsed afterwards."""
        self._closed = True
        for parser in self._all:
            parser.close()


def _first_answer(process: subprocess.Popen[bytes]) -> bytes | None:
    try:
        return _read_line(process, START_SECONDS)
    except (OSError, EOFError):
        return None


def _read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """One answer; None when time is up; EOFError when the process is gone."""
    assert process.stdout is not None
    pipe, taken = process.stdout.fileno(), b""
    deadline = time.monotonic() + seconds
    while not taken.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        piece = os.read(pipe, READ_BYTES)
        if not piece:
            raise EOFError
        taken += piece
    return taken


def _timeout_for(file: Path) -> float:
    return max(MIN_TIMEOUT_SECONDS, file.stat().st_size / SLOWEST_BYTES_PER_SECOND)
