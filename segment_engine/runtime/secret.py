"""The tenant's secret: the key of every digest that stands for a person or signs a link.

It comes from `CDP_SECRET_KEY`; without it, a file in the data directory is made once and kept. What is digested with it
belongs to the modules that do so.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from segment_engine.runtime.settings import SharedSettings

SECRET_BYTES = 32


def tenant_secret(settings: SharedSettings) -> bytes:
    """The secret of this data directory, made on first use; the file is readable by its owner only. Raises OSError."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    file = settings.folders.secret
    with contextlib.suppress(FileNotFoundError):
        return bytes.fromhex(file.read_text(encoding="ascii"))
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(secrets.token_hex(SECRET_BYTES))
        handle.flush()
        os.fsync(handle.fileno())
    # Two processes that start together must end up with one secret: a link, unlike a rename, never replaces.
    with contextlib.suppress(FileExistsError):
        Path(file).hardlink_to(draft)
    draft.unlink()
    return bytes.fromhex(file.read_text(encoding="ascii"))


def person_digest(secret: bytes, identity_key: str) -> str:
    """HMAC-SHA-256 (hex) of an identity key such as `patient::P000123`: what remains of somebody who was erased."""
    return hmac.new(secret, b"person:" + identity_key.encode(), hashlib.sha256).hexdigest()
