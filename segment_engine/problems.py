"""What is wrong with what somebody gave us, and where: the one shape of it for engine and API."""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document, and where: `path` is a JSON Pointer into it, or `/query/<name>` of a request."""

    code: str
    path: str
    message_zh: str
    message_en: str


class InvalidFilterError(Exception):
    """A filter that means nothing; carries every problem that can be told, in the order of the document."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{problem.path or '/'}: {problem.message_en}" for problem in problems))
        self.problems = problems


def pointer(parts: Iterable[object]) -> str:
    """A JSON Pointer (RFC 6901); what cannot stand in an answer is replaced, and very long names are cut."""
    return "".join(f"/{_token(str(part))}" for part in parts)


def _token(part: str) -> str:
    shown = part if len(part) <= MAX_TOKEN else f"{part[:MAX_TOKEN]}…"
    return shown.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")
