"""The links of files: a keyed digest of the file's id and its last moment, so that no token is kept anywhere. Pure."""

import base64
import hashlib
import hmac


def link_token(secret: bytes, file_id: str, expires_at: str) -> str:
    """The token of a file: 256 bits, URL-safe; `expires_at` as ISO text."""
    digest = hmac.new(secret, f"file:{file_id}:{expires_at}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def token_hash(token: str) -> str:
    """What is kept of a token: enough to find its file, not enough to fetch it."""
    return hashlib.sha256(token.encode()).hexdigest()


def file_url(secret: bytes, file_id: str, expires_at: str) -> str:
    """Where the file is fetched."""
    return f"/v1/files/{link_token(secret, file_id, expires_at)}"
