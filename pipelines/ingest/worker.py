"""The parser process: reads requests as JSON lines on stdin, answers on stdout; `python -m pipelines.ingest.worker`.

Files from outside are parsed only here. What can go wrong badly (a crash of the process, a panic that is no Exception)
ends this process, never the night. The other end of the pipes is `pipelines.warehouse.parser`.
"""

import json
import os
import resource
import sys
import threading
import time
from typing import TextIO

from pipelines.ingest.parse import parse_file
from pipelines.ingest.parse_messages import ParseReply, ParseRequest
from pipelines.ingest.quarantine import refusal
from pipelines.ingest.sandbox import Sandboxes
from pipelines.telling import told

ORPHAN_CHECK_SECONDS = 1.0
CRASHED = 70
READY = "ready"


def main(address_space_bytes: int) -> None:
    """Serve requests until stdin ends; limits: memory of the process, no core dump, no descendants of orphans."""
    replies = _private_stdout()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
    replies.write(READY + "\n")
    replies.flush()
    sandboxes = Sandboxes()
    for line in sys.stdin:
        request = ParseRequest.from_json(json.loads(line))
        reply, sane = _answer(request, sandboxes)
        replies.write(json.dumps(reply.to_json()) + "\n")
        replies.flush()
        if not sane:
            os._exit(CRASHED)
    # Plain exit would let native libraries complain on stderr about what they still hold.
    os._exit(0)


def _answer(request: ParseRequest, sandboxes: Sandboxes) -> tuple[ParseReply, bool]:
    try:
        return parse_file(request, sandboxes), True
    except BaseException as error:  # a Rust panic is no Exception; nothing may end the night
        print(f"{request.file.name}: {told(error)}"[:2000], file=sys.stderr)
        return ParseReply(problem=refusal("parser_crashed", request.file.name)), False


def _private_stdout() -> TextIO:
    """The real stdout for replies alone; whatever else prints goes to stderr."""
    private = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return private


def _die_with_parent(parent: int) -> None:
    # A killed pipeline must not leave a parser at work on files that the next run writes again.
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os._exit(CRASHED)


if __name__ == "__main__":
    main(int(sys.argv[1]))
