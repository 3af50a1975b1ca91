"""Decides whose word an OpenID Connect token is: signature, issuer, audience, times, algorithm.

The issuer's metadata and keys are fetched when first needed and kept; a key that is not among them
is looked for once more, at most every few seconds, so that rotated keys are found and made-up key
ids cost the issuer nothing. Sources: OpenID Connect Core 1.0, 3.1.3.7; RFC 7519; RFC 8725.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.domain.errors import InputError
from service.domain.hours import Clock

if TYPE_CHECKING:  # imported where they are used: most deployments start without an issuer
    import httpx2
    from joserfc import jwt
    from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Signatures by keys that only the issuer holds: never ``none``, never a shared secret."""

LEEWAY_SECONDS = 30
KEYS_KEPT_SECONDS = 600
KEYS_SOUGHT_AGAIN_SECONDS = 5
TIMEOUT_SECONDS = 5.0
ANSWER_BYTES_MAX = 512 * 1024
TOKEN_LENGTH_MAX = 16_384


class NotTrustedError(Exception):
    """A token, or an issuer's answer, that proves nothing. Its text is for logs."""


class IssuerUnreachableError(Exception):
    """The issuer cannot be asked now; nothing is known of the token."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an issuer is asked for what."""

    authorization: str
    token: str
    keys: str


def require_secure(url: str, *, variable: str) -> str:
    """``url`` when it is HTTPS, or HTTP on this very machine; else ``InputError``."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return url
    raise InputError(
        "must be an https address",
        file="the environment",
        column=variable,
        remedy="Give the address with https://; plain http is for loopback only.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Issuer:
    """One identity provider. Safe to use from several threads."""

    def __init__(self, url: str, *, clock: Clock, monotonic: Callable[[], float]) -> None:
        self.url = require_secure(url, variable="TENOR_OIDC_ISSUER").rstrip("/")
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._endpoints: Endpoints | None = None
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")

    def endpoints(self) -> Endpoints:
        """The issuer's addresses, from its own metadata, read once."""
        with self._lock:
            if self._endpoints is None:
                self._endpoints = self._discover()
            return self._endpoints

    def claims(self, token: str, *, audience: str, nonce: str | None = None) -> Mapping[str, Any]:
        """What ``token`` says, if the issuer signed it for ``audience`` and its time is now.

        Raises ``NotTrustedError`` otherwise, ``IssuerUnreachableError`` when its keys cannot be
        had.
        """
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        if len(token) > TOKEN_LENGTH_MAX:
            msg = "the token is too long"
            raise NotTrustedError(msg)
        decoded = self._decode(token)
        options: dict[str, Any] = {}
        if nonce is not None:
            options["nonce"] = {"essential": True, "value": nonce}
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.url},
            aud={"essential": True, "value": audience},
            sub={"essential": True, "allow_blank": False},
            exp={"essential": True},
            **options,
        )
        claims: dict[str, Any] = decoded.claims
        try:
            registry.validate(claims)
        except JoseError as error:
            raise NotTrustedError(str(error)) from error
        if nonce is not None and claims.get("azp", audience) != audience:
            msg = "the token was issued to another client"
            raise NotTrustedError(msg)
        return claims

    def _decode(self, token: str) -> jwt.Token:
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            return self._verified(token, self._known_keys())
        except JoseError:
            # Perhaps the keys were rotated: once more with fresh ones, if there are any.
            fresh = self._fresh_keys()
        if fresh is None:
            msg = "no key of the issuer fits"
            raise NotTrustedError(msg)
        try:
            return self._verified(token, fresh)
        except JoseError as error:
            raise NotTrustedError(str(error)) from error

    @staticmethod
    def _verified(token: str, keys: KeySet) -> jwt.Token:
        from joserfc import jwt  # noqa: PLC0415

        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except (ValueError, TypeError, KeyError) as error:
            raise NotTrustedError(str(error)) from error

    def _known_keys(self) -> KeySet:
        with self._lock:
            fresh = self._monotonic() - self._keys_at < KEYS_KEPT_SECONDS
            if self._keys is not None and fresh:
                return self._keys
        found = self._fetch_keys()
        if found is None:
            msg = "the issuer's keys cannot be read"
            raise IssuerUnreachableError(msg)
        return found

    def _fresh_keys(self) -> KeySet | None:
        with self._lock:
            if self._monotonic() - self._keys_at < KEYS_SOUGHT_AGAIN_SECONDS:
                return None
        return self._fetch_keys()

    def _fetch_keys(self) -> KeySet | None:
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        where = self.endpoints().keys
        with self._lock:
            # Dated before the answer: an issuer that is down is not asked at every request.
            self._keys_at = self._monotonic()
            found = get_json(where).get("keys")
            if not isinstance(found, list):
                return None
            signing = [
                key
                for key in found
                if isinstance(key, dict)
                and key.get("use", "sig") == "sig"
                and key.get("kty") in {"RSA", "EC"}
            ]
            try:
                self._keys = KeySet.import_key_set({"keys": signing})
            except (JoseError, ValueError, KeyError) as error:
                msg = "the issuer's keys cannot be used"
                raise IssuerUnreachableError(msg) from error
            return self._keys

    def _discover(self) -> Endpoints:
        found = get_json(f"{self.url}/.well-known/openid-configuration")
        if found.get("issuer") != self.url:
            msg = f"the metadata is of another issuer than {self.url}"
            raise IssuerUnreachableError(msg)
        addresses = []
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = found.get(name)
            if not isinstance(address, str):
                msg = f"the issuer states no {name}"
                raise IssuerUnreachableError(msg)
            try:
                addresses.append(require_secure(address, variable=name))
            except InputError as error:
                raise IssuerUnreachableError(str(error)) from error
        return Endpoints(*addresses)


def get_json(url: str) -> Mapping[str, Any]:
    """The JSON object at ``url``; ``IssuerUnreachableError`` when there is none."""
    return _json(lambda client: client.get(url))


def post_form(
    url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None
) -> Mapping[str, Any]:
    """The JSON object that ``url`` answers a form with; errors as for ``get_json``."""
    import httpx2  # noqa: PLC0415

    auth = None if basic is None else httpx2.BasicAuth(*basic)
    if auth is None:
        return _json(lambda client: client.post(url, data=dict(form)))
    return _json(lambda client: client.post(url, data=dict(form), auth=auth))


def _json(ask: Callable[[httpx2.Client], httpx2.Response]) -> Mapping[str, Any]:
    import httpx2  # noqa: PLC0415

    try:
        # No proxy or credentials of the environment, and no redirects to elsewhere.
        with httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            answer = ask(client)
            found = answer.json() if len(answer.content) <= ANSWER_BYTES_MAX else None
    except (httpx2.HTTPError, ValueError) as error:
        msg = f"the issuer cannot be asked ({type(error).__name__})"
        raise IssuerUnreachableError(msg) from error
    if answer.status_code != httpx2.codes.OK or not isinstance(found, dict):
        msg = f"the issuer answered {answer.status_code}"
        raise IssuerUnreachableError(msg)
    return found
