"""The child process that reads one table: `python -m api.uploads.child HEADINGS`, the table on stdin.

It answers one JSON object on stdout: {"name", "values"} or {"refused": code}. It gets no settings and no secrets,
little memory and little time; what it dies of is a table that cannot be read (`api.uploads.reader`).
"""

import json
import os
import resource
import sys

from api.uploads.columns import UnreadableError, read_column

ADDRESS_SPACE_BYTES = 2 << 30
CPU_SECONDS = 60


def main() -> None:
    """Read, answer, and end without tidying up: native libraries would complain about what they hold."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        found = read_column(sys.stdin.buffer.read(), json.loads(sys.argv[1]))
        answer = {"name": found.name, "values": found.values}
    except UnreadableError as error:
        answer = {"refused": error.code}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
