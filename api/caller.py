"""Who is asking, as audit rows and stored answers name them."""

from dataclasses import dataclass
from typing import Literal

CallerKind = Literal["staff", "client", "patient", "system"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An actor in one request; `address` is the client's IP."""

    kind: CallerKind
    id: str
    name: str
    request_id: str | None = None
    address: str | None = None

    @property
    def key(self) -> str:
        """Under which what belongs to this caller alone is kept."""
        return f"{self.kind}:{self.id}"


def system_caller(name: str) -> Caller:
    """The platform itself: a command line, a worker, the nightly run."""
    return Caller("system", name, name)
