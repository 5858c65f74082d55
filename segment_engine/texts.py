"""Texts as they are compared: what loading does to stored ones, done to those of filters and catalogue."""

import unicodedata


def normalised(text: str) -> str:
    """NFKC, without space around it."""
    return unicodedata.normalize("NFKC", text).strip()
