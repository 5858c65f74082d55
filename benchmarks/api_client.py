"""Clients of `benchmarks.api` in a process of their own: PORT KEY write|read CLIENTS SECONDS; prints JSON.

They speak HTTP/1.1 over plain sockets, since a full client library costs more than the server does.
"""

import json
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks.api import load


def main(port: int, key: str, what: str, clients: int, seconds: float) -> None:
    """Load the server and print what was measured."""

    def make() -> Callable[[], None]:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        common = f"Host: localhost\r\nAuthorization: Bearer {key}\r\n"

        def write() -> None:
            name = secrets.token_hex(12)
            body = json.dumps({"id": name, "amount": 100})
            call(
                connection,
                f"POST /benchmark/write HTTP/1.1\r\n{common}Idempotency-Key: {name}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}",
                b" 201 ",
            )

        def read() -> None:
            call(connection, f"GET /benchmark/read/nothing HTTP/1.1\r\n{common}\r\n", b" 200 ")

        return write if what == "write" else read

    print(json.dumps(asdict(load(make, clients, seconds))))


def call(connection: socket.socket, request: str, expected: bytes) -> None:
    """Send a request, read its whole answer, and insist on its status."""
    connection.sendall(request.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert expected in head.split(b"\r\n", 1)[0], answer
    (length,) = (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
