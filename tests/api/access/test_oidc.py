"""Staff who sign in elsewhere: a real issuer on this machine, with real keys."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import update

from api.access.oidc import Issuer
from api.clock import now
from api.errors import NotReadyError
from api.settings import ApiSettings
from api.storage.tables.access import actor
from tests.api.access.people import actor_of, other, store_of
from tests.api.conftest import MakeClient
from tests.api.probe import found
from tests.http_server import Answer, http_server

AUDIENCE = "cdp"


@dataclass
class Provider:
    """An identity provider: a discovery document, keys, and how often they were asked for."""

    keys: dict[str, Any]
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    issuer: str = ""

    def reply(self, path: str) -> Answer:
        self.asked.append(path)
        body = b"no" if self.broken else json.dumps(self.document(path)).encode()
        return Answer(body, "application/json", status=500 if self.broken else 200)

    def document(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        kinds = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
        jwks = []
        for name, key in self.keys.items():
            kind = next(algorithm for of, algorithm in kinds.items() if isinstance(key, of))
            jwks.append({**json.loads(kind.to_jwk(key.public_key())), "kid": name, "use": "sig"})
        return {"keys": jwks}

    def token(self, *, key: str = "rsa", algorithm: str = "RS256", kid: str | None = None, **claims: Any) -> str:
        body = {"iss": self.issuer, "aud": AUDIENCE, "sub": "tang", "exp": now() + timedelta(minutes=5), **claims}
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, self.keys[key], algorithm=algorithm, headers={"kid": kid or key})


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return {"rsa": rsa.generate_private_key(65537, 2048), "ec": ec.generate_private_key(ec.SECP256R1())}


@pytest.fixture
def provider(keys: dict[str, Any]) -> Iterator[Provider]:
    provider = Provider(dict(keys))
    with http_server(provider.reply) as provider.issuer:
        yield provider


@pytest.fixture
def client(make_client: MakeClient, provider: Provider) -> TestClient:
    """Somebody with the subject `tang` is known."""
    client = make_client(settings={"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE})
    headers = other(client, permissions=("customer.view",))
    known = update(actor).where(actor.c.id == actor_of(client, headers)).values(oidc_subject="tang")
    store_of(client).write(lambda connection: connection.execute(known))
    return client


def status(client: TestClient, token: str) -> int:
    return client.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize(("key", "algorithm"), [("rsa", "RS256"), ("ec", "ES256")])
def test_a_token_of_the_issuer_is_the_actor_with_its_subject(
    client: TestClient, provider: Provider, key: str, algorithm: str
) -> None:
    token = provider.token(key=key, algorithm=algorithm)

    answer = client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200
    assert answer.json()["permissions"] == ["customer.view"]


def test_keys_are_fetched_once_for_many_tokens(client: TestClient, provider: Provider) -> None:
    assert {status(client, provider.token()) for _ in range(5)} == {200}
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "somebody-else"},
        {"sub": None},
        {"sub": ""},
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "https://elsewhere.example.com"},
        {"iss": None},
        {"exp": None},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"exp": "soon"},
    ],
)
def test_a_token_with_a_wrong_claim_is_401(client: TestClient, provider: Provider, claims: dict[str, Any]) -> None:
    assert status(client, provider.token(**claims)) == 401


def test_clocks_may_differ_by_seconds_not_by_minutes(client: TestClient, provider: Provider) -> None:
    assert status(client, provider.token(exp=now() - timedelta(seconds=10))) == 200
    assert status(client, provider.token(exp=now() - timedelta(seconds=60))) == 401
    assert status(client, provider.token(nbf=now() + timedelta(seconds=10))) == 200
    assert status(client, provider.token(nbf=now() + timedelta(seconds=60))) == 401


def signed_with_hmac(claims: dict[str, Any], secret: bytes) -> str:
    """The public key as a shared secret: the oldest trick against verifiers that believe the header."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims)
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join((text, urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"="))).decode()


def forged(provider: Provider, name: str) -> str:
    """Tokens that somebody without the issuer's private keys can make."""
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "tang", "exp": int(time.time()) + 300}
    stranger = rsa.generate_private_key(65537, 2048)
    pem = provider.keys["rsa"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    good = provider.token()
    head, _, signature = good.split(".")
    other_body = jwt.encode({**claims, "sub": "boss"}, "x" * 32, algorithm="HS256").split(".")[1]
    return {
        "no signature": jwt.encode(claims, None, algorithm="none", headers={"kid": "rsa"}),
        "shared secret": signed_with_hmac(claims, pem),
        "stranger's key": jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "rsa"}),
        "unknown key": jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "new"}),
        "no key named": jwt.encode(claims, stranger, algorithm="RS256"),
        "another algorithm": provider.token(algorithm="PS256"),
        "key of the other kind": provider.token(key="rsa", kid="ec"),
        "changed body": f"{head}.{other_body}.{signature}",
        "cut signature": good[:-8],
        "no body": f"{head}..{signature}",
        "no token": "a.b.c",
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "no signature", "shared secret", "stranger's key", "unknown key", "no key named", "another algorithm",
        "key of the other kind", "changed body", "cut signature", "no body", "no token",
    ],
)  # fmt: skip
def test_a_forged_token_is_401(client: TestClient, provider: Provider, name: str) -> None:
    assert status(client, provider.token()) == 200

    assert status(client, forged(provider, name)) == 401


def test_somebody_who_left_is_401_with_a_good_token(client: TestClient, provider: Provider) -> None:
    left = update(actor).where(actor.c.oidc_subject == "tang").values(is_active=False)
    store_of(client).write(lambda connection: connection.execute(left))

    assert status(client, provider.token()) == 401


def test_an_issuer_that_is_down_is_503_and_not_asked_by_every_request(client: TestClient, provider: Provider) -> None:
    provider.broken = True

    answers = [client.get("/v1/me", headers={"Authorization": f"Bearer {provider.token()}"}) for _ in range(4)]

    assert {answer.status_code for answer in answers} == {503}
    assert found(answers[0]) == {("issuer_unreachable", "")}
    assert len(provider.asked) == 1
    # Keys of our own do not depend on it.
    assert client.get("/v1/me").status_code == 200


def test_an_issuer_that_comes_back_is_asked_again(provider: Provider) -> None:
    moment = 0.0
    issuer = Issuer(provider.issuer, AUDIENCE, "sub", clock=lambda: moment)
    provider.broken = True
    with pytest.raises(NotReadyError):
        issuer.subject(provider.token())
    provider.broken = False

    with pytest.raises(NotReadyError):
        issuer.subject(provider.token())
    moment = 6.0

    assert issuer.subject(provider.token()) == "tang"


def test_unknown_keys_do_not_make_us_ask_the_issuer_each_time(provider: Provider) -> None:
    issuer = Issuer(provider.issuer, AUDIENCE, "sub")
    assert issuer.subject(provider.token()) == "tang"

    assert [issuer.subject(forged(provider, "unknown key")) for _ in range(5)] == [None] * 5
    assert provider.asked.count("/keys") == 1


def test_another_claim_may_hold_the_subject(provider: Provider) -> None:
    issuer = Issuer(provider.issuer, AUDIENCE, "employee_no")

    assert issuer.subject(provider.token(employee_no="S1")) == "S1"
    assert issuer.subject(provider.token()) is None
    assert issuer.subject(provider.token(employee_no=7)) is None


def test_a_discovery_document_of_another_issuer_is_not_followed(provider: Provider, keys: dict[str, Any]) -> None:
    issuer = Issuer(provider.issuer, AUDIENCE, "sub")
    token = provider.token()
    provider.issuer = "https://elsewhere.example.com"

    with pytest.raises(NotReadyError):
        issuer.subject(token)


def test_without_an_issuer_every_token_is_401(make_client: MakeClient, provider: Provider) -> None:
    assert status(make_client(), provider.token()) == 401
    assert provider.asked == []


@pytest.mark.parametrize(
    "told",
    [
        {"oidc_issuer": "https://id.example.com"},
        {"oidc_issuer": "http://id.example.com", "oidc_audience": "cdp"},
        {"oidc_issuer": "id.example.com", "oidc_audience": "cdp"},
        {"wechat_api_url": "http://api.example.com"},
    ],
)
def test_an_issuer_needs_an_audience_and_an_encrypted_address(told: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(**told)
