"""Three hundred bearer tokens that must open nothing: forged, twisted, of another kind, too large, no tokens at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api_gateway.connections import BoundedProtocol
from reportgen_dagster.services.keys import signing_key
from reportgen_dagster.services.tokens import key_id
from tests.gateway.conftest import Server, User

PATH = "/api/v1/me"
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


class Forger:
    """Makes tokens as only somebody who has the key could, and others as anybody can.

    Attributes:
        claims: Those of a genuine token.
        header: Its header.
        key: The key that signed it.
        genuine: That token.
    """

    def __init__(self, server: Server, user: User) -> None:
        self.key = signing_key(server.settings)
        self.genuine = user.session["access"]
        header, claims, self.signature = self.genuine.split(".")
        self.header, self.claims = _object(header), _object(claims)

    def signed(self, claims: object, header: object, *, key: bytes | None = None, algorithm: str = "") -> str:
        """Sign a payload under a header; texts are taken as they are."""
        named = header.get("alg") if isinstance(header, dict) else None
        digest = HASHES.get(algorithm or str(named), hashlib.sha256)
        body = f"{_part(header)}.{_part(claims)}"
        signature = hmac.digest(self.key if key is None else key, body.encode(), digest)
        return f"{body}.{_base64(signature)}"

    def all(self) -> Iterator[tuple[str, str]]:
        """Yield each attack with its name."""
        for make in (
            self._algorithms,
            self._headers,
            self._kids,
            self._keys,
            self._claims,
            self._times,
            self._shapes,
            self._twisted,
            self._texts,
        ):
            for number, (what, token) in enumerate(make()):
                yield f"{make.__name__.strip('_')} {number}: {what}", token

    def _algorithms(self) -> Iterator[tuple[str, str]]:
        names = ("none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256")
        for name in (*names, "hs256", "HS256 ", "HS256\0", None, 7, ["HS256"], {"a": "HS256"}, True):
            token = self.signed(self.claims, {**self.header, "alg": name})
            yield f"alg {name!r}, signed", token
            yield f"alg {name!r}, not signed", token.rpartition(".")[0] + "."

    def _headers(self) -> Iterator[tuple[str, str]]:
        for name in self.header:
            yield f"no {name}", self.signed(self.claims, _without(self.header, name))
        for typ in ("JWT", "dl+jwt", "AT+JWT", "application/at+jwt", "", None, 1, ["at+jwt"]):
            yield f"typ {typ!r}", self.signed(self.claims, {**self.header, "typ": typ})
        own_key = {"kty": "oct", "k": _base64(b"k" * 32)}
        for name, value in {
            "jku": "https://attacker.example/keys.json",
            "jwk": own_key,
            "x5u": "https://attacker.example/cert.pem",
            "x5c": ["MIIB"],
            "x5t": "abc",
            "crit": ["exp"],
            "b64": False,
            "zip": "DEF",
            "cty": "JWT",
            "enc": "A256GCM",
        }.items():
            yield f"header {name}", self.signed(self.claims, {**self.header, name: value})
            yield (
                f"header {name}, its key",
                self.signed(self.claims, {**self.header, name: value}, key=b"k" * 32),
            )
        yield "crit with its name", self.signed(self.claims, {**self.header, "crit": ["x"], "x": 1})
        yield "empty crit", self.signed(self.claims, {**self.header, "crit": []})

    def _kids(self) -> Iterator[tuple[str, str]]:
        others = (
            *("../../dev/null", "/dev/null", "../../../etc/passwd", "file:///dev/null", "", "0", " ", "\0"),
            *("' OR 1=1 --", "x' UNION SELECT 'k' --", "|cat /etc/passwd", "$(id)", "%2e%2e%2f", "a" * 500),
            *(self.header["kid"].upper(), self.header["kid"] + " ", self.header["kid"][:-1]),
            *(None, 0, 1.5, True, [self.header["kid"]], {"kid": self.header["kid"]}),
        )
        for kid in others:
            header = {**self.header, "kid": kid}
            yield f"kid {str(kid)[:20]!r}", self.signed(self.claims, header)
            yield f"kid {str(kid)[:20]!r}, empty key", self.signed(self.claims, header, key=b"")

    def _keys(self) -> Iterator[tuple[str, str]]:
        guesses = (
            b"",
            b"secret",
            b"changeme",
            b"k" * 32,
            b"\0" * 32,
            b"reportgen access token",
            self.key[:-1],
        )
        for key in (*guesses, self.key.hex().encode(), base64.b64encode(self.key), self.key + b"\0x"):
            yield f"key {key[:6]!r}", self.signed(self.claims, self.header, key=key)
            named = {**self.header, "kid": key_id(key)}
            yield f"key {key[:6]!r} that it names", self.signed(self.claims, named, key=key)
        for algorithm in ("HS384", "HS512"):
            yield f"{algorithm} under HS256", self.signed(self.claims, self.header, algorithm=algorithm)

    def _claims(self) -> Iterator[tuple[str, str]]:
        wrong: dict[str, tuple[object, ...]] = {
            "iss": ("somebody", "", None, ["reportgen"], 1),
            "aud": ("reportgen-downloads", "another", "", None, [], ["another"], 1),
            "sub": ("0" * 32, "", None, 7, ["x"], {"id": 1}, True, "' OR 1=1"),
            "sid": ("0" * 32, "", None, 7, ["x"], {"id": 1}, True, "' OR 1=1", "\0"),
            "jti": ("", None, 7, ["x"]),
        }
        for name, values in wrong.items():
            yield f"no {name}", self.signed(_without(self.claims, name), self.header)
            for value in values:
                yield f"{name} {value!r}", self.signed({**self.claims, name: value}, self.header)
        for name in self.claims:
            twice = json.dumps(self.claims)[:-1] + f', "{name}": {json.dumps(self.claims[name])}}}'
            yield f"{name} twice", self.signed(twice, self.header)
        twice = json.dumps(self.header)[:-1] + ', "alg": "HS256"}'
        yield "alg twice", self.signed(self.claims, twice)

    def _times(self) -> Iterator[tuple[str, str]]:
        now = int(time.time())
        kinds = ("x", str(now + 600), now + 600.5, None, [now + 600], {"t": now}, True, "٣٠٠٠٠٠٠٠٠٠", "1e12")
        for name, value in product(("exp", "nbf", "iat"), kinds):
            yield f"{name} {value!r}", self.signed({**self.claims, name: value}, self.header)
        for name in ("exp", "nbf", "iat"):
            yield f"no {name}", self.signed(_without(self.claims, name), self.header)
        for name, value in (("exp", now - 11), ("exp", 0), ("exp", -1), ("exp", -(10**30))):
            yield f"{name} {value}", self.signed({**self.claims, name: value}, self.header)
        for name, value in product(("nbf", "iat"), (now + 60, now + 10**6, 10**30)):
            yield f"{name} {value}", self.signed({**self.claims, name: value}, self.header)
        for number in ("Infinity", "-Infinity", "NaN", "1e400"):
            claims = json.dumps({**self.claims, "exp": 0}).replace('"exp": 0', f'"exp": {number}')
            yield f"exp {number}", self.signed(claims, self.header)

    def _shapes(self) -> Iterator[tuple[str, str]]:
        for shape in ("[]", "null", "1", '"x"', "true", "", "{", '{"a":1}}', "[" * 1500, '{"a":' * 500):
            yield f"claims {shape[:10]}", self.signed(shape, self.header)
            yield f"header {shape[:10]}", self.signed(self.claims, shape)
        for padding in (3000, 10_000, 14_000):
            yield f"{padding} more", self.signed({**self.claims, "padding": "x" * padding}, self.header)
        yield "claims in Latin-1", self._raw(b'{"sub": "\xe9"}')
        yield "claims with a byte order mark", self._raw(b"\xef\xbb\xbf" + json.dumps(self.claims).encode())
        yield "claims in UTF-16", self._raw(json.dumps(self.claims).encode("utf-16"))

    def _raw(self, claims: bytes) -> str:
        body = f"{_part(self.header)}.{_base64(claims)}"
        return f"{body}.{_base64(hmac.digest(self.key, body.encode(), 'sha256'))}"

    def _twisted(self) -> Iterator[tuple[str, str]]:
        header, claims, signature = self.genuine.split(".")
        for parts in (
            (header, claims, ""),
            (header, "", signature),
            ("", claims, signature),
            (claims, header, signature),
            (header, claims, signature[::-1]),
            (header, claims, signature, signature),
            (header, claims),
            (header,),
            (header, claims, signature, "", ""),
            (header, claims, signature + "A"),
            (header, claims, "A" + signature[1:] if signature[0] != "A" else "B" + signature[1:]),
            (header, claims, signature[:-2]),
            (header + "=", claims, signature),
            (header, claims + "==", signature),
            (header, claims[:-1], signature),
            (header + "\u2024", claims, signature),
        ):
            yield "parts", ".".join(parts)
        for place in range(0, len(self.genuine), 12):
            letter = "A" if self.genuine[place] != "A" else "B"
            yield f"letter {place}", self.genuine[:place] + letter + self.genuine[place + 1 :]

    def _texts(self) -> Iterator[tuple[str, str]]:
        random = uuid4().hex
        for text in (
            *("null", "undefined", "true", "[object Object]", ".", "..", "...", "a.b.c", "Bearer", "é.é.é"),
            *(
                "rg_pat_",
                f"rg_pat_{random}",
                f"rg_pat_{'A' * 43}00000000",
                f"rg_pat_{'x' * 9000}",
                "rg_pat_ x",
            ),
            *(
                f"rg_rt_{random}",
                f"rg_pat_{'é' * 43}00000000",
                "rg_pat_' OR 1=1 --",
                "rg_pat_%00",
                "x" * 15_000,
            ),
            *(f"RG_PAT_{'A' * 51}", "=" * 100, "e30.e30.", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30."),
        ):
            yield f"text {text[:12]!r}", text


def _object(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _part(data: object) -> str:
    return _base64((data if isinstance(data, str) else json.dumps(data)).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


@pytest.fixture
def forger(server: Server, ann: User) -> Forger:
    return Forger(server, ann)


def test_the_forger_can_make_a_genuine_token(forger: Forger, ann: User) -> None:
    headers = {"Authorization": f"Bearer {forger.signed(forger.claims, forger.header)}"}
    assert ann.http.get(PATH, headers=headers).status_code == 200
    within_leeway = forger.signed({**forger.claims, "exp": int(time.time()) - 5}, forger.header)
    assert ann.http.get(PATH, headers={"Authorization": f"Bearer {within_leeway}"}).status_code == 200


def test_no_attack_opens_anything(forger: Forger, ann: User, anybody: httpx2.Client) -> None:
    attacks = dict(forger.all())
    assert len(attacks) >= 300
    statuses = {
        name: anybody.get(PATH, headers={"Authorization": f"Bearer {token}".encode()}).status_code
        for name, token in attacks.items()
    }
    # A head that is too large is refused before anybody looks for a token in it.
    refused = {
        name: 431 if len(token) > BoundedProtocol.most_head_bytes else 401 for name, token in attacks.items()
    }
    assert {name: status for name, status in statuses.items() if status != refused[name]} == {}
    assert ann.http.get(PATH).status_code == 200


def test_no_attack_refreshes(forger: Forger, server: Server) -> None:
    tokens = [token for _, token in forger.all() if token.isascii() and "\0" not in token][::20]
    with httpx2.Client(base_url=server.url) as client:
        answers = {client.post("/api/auth/refresh", json={"refresh": token}).status_code for token in tokens}
    assert answers == {401}
