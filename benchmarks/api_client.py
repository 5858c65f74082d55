"""Clients of `benchmarks.api` in a process of their own: PORT KEY write|read CLIENTS SECONDS; prints JSON.

They speak HTTP/1.1 over plain sockets in one thread, since a client library would take more of the processor than the
server that is measured.
"""

import json
import secrets
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

from benchmarks.api import Measured, measured


@dataclass(eq=False)
class Client:
    """One connection with one request under way."""

    port: int
    head: str
    what: str
    began: float = 0.0
    answer: bytes = b""
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = socket.create_connection(("127.0.0.1", self.port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        """Send the next request."""
        if self.what == "write":
            name = secrets.token_hex(12)
            body = json.dumps({"id": name, "amount": 100})
            request = (
                f"POST /benchmark/write HTTP/1.1\r\n{self.head}Idempotency-Key: {name}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            )
        else:
            request = f"GET /benchmark/read/nothing HTTP/1.1\r\n{self.head}\r\n"
        self.answer, self.began = b"", time.perf_counter()
        self.connection.sendall(request.encode())

    def hear(self) -> bool:
        """Read on; whether the answer is complete. It must be the expected one."""
        self.answer += self.connection.recv(65536)
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return False
        assert (b" 201 " if self.what == "write" else b" 200 ") in head.split(b"\r\n", 1)[0], self.answer
        self.times.append(time.perf_counter() - self.began)
        return True


def main(port: int, key: str, what: str, clients: int, seconds: float) -> None:
    """Load the server and print what was measured."""
    head = f"Host: localhost\r\nAuthorization: Bearer {key}\r\n"
    everybody = [Client(port, head, what) for _ in range(clients)]
    with selectors.DefaultSelector() as selector:
        for client in everybody:
            selector.register(client.connection, selectors.EVENT_READ, client)
            client.ask()
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            for ready, _ in selector.select(timeout=1):
                if ready.data.hear():
                    ready.data.ask()
    answer: Measured = measured([client.times for client in everybody], seconds)
    print(json.dumps(asdict(answer)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
