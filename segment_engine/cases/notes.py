"""What is wrong with a case file, noted while it is read: all of it, each with its place and, where known, its line.

What a case file must look like is asked by those who read its parts: `world.py` and `case_file.py`.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from segment_engine.problems import Problem, pointer

Place = tuple[str | int, ...]
"""The members that lead to a value from the root of the file."""


class BadCaseFileError(Exception):
    """A case file that cannot be read; carries every problem that can be told, in the order of the file."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{one.path or '/'}: {one.message_en}" for one in problems))
        self.problems = problems


class Notes:
    """Problems of one file, whose members stand on these lines."""

    def __init__(self, lines: Mapping[Place, int] | None = None) -> None:
        self.problems: list[Problem] = []
        self._lines = lines or {}

    def tell(self, code: str, place: Place, zh: str, en: str) -> None:
        """Note a problem; its sentences begin with the line of the member, or of what the member stands in."""
        line = next((self._lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self._lines), None)
        if line is not None:
            zh, en = f"第 {line} 行:{zh}", f"Line {line}: {en}"
        self.problems.append(Problem(code, pointer(place), zh, en))

    def tell_type(self, place: Place, zh: str, en: str) -> None:
        """Note that a value is of another type than it must be."""
        self.tell("wrong_type", place, f"应为{zh}", f"Must be {en}.")

    def members(
        self, raw: Any, place: Place, *, required: Set[str] = frozenset(), allowed: Set[str] = frozenset()
    ) -> Mapping[str, Any]:
        """The known members of an object; empty for no object, and where a needed one is missing."""
        if not isinstance(raw, dict):
            self.tell_type(place, "对象", "an object")
            return {}
        known = required | allowed
        listed = ", ".join(sorted(known))
        for name in (name for name in raw if name not in known):
            told = f"未知成员,可用:{listed}", f"Unknown member; known: {listed}."
            self.tell("unknown_member", (*place, str(name)), *told)
        missing = sorted(name for name in required if raw.get(name) is None)
        for name in missing:
            self.tell("missing_member", (*place, name), f"缺少 {name}", f"{name} is missing.")
        return {} if missing else {name: value for name, value in raw.items() if name in known}

    def items(self, raw: Any, place: Place) -> Iterator[tuple[Place, Any]]:
        """The items of a list with their places."""
        if not isinstance(raw, list):
            self.tell_type(place, "列表", "a list")
            return
        yield from (((*place, index), item) for index, item in enumerate(raw))

    def named(self, raw: Any, place: Place) -> Iterator[tuple[Place, Any, Any]]:
        """The members of an object with any names: place, name, value."""
        if not isinstance(raw, dict):
            self.tell_type(place, "对象", "an object")
            return
        yield from (((*place, str(name)), name, value) for name, value in raw.items())
