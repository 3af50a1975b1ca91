"""Decides whose word an OpenID Connect token is: signature, issuer, audience, times, algorithm.

The issuer's metadata and keys are fetched when first needed and kept; a key that is not among them
is looked for once more, at most every few seconds, so that rotated keys are found and made-up key
ids cost the issuer nothing. One thread asks at a time and none waits for it: an issuer that accepts
and never answers holds one worker of ours, not all of them. What could not be had is not asked for
again for a few seconds. Sources: OpenID Connect Core 1.0, 3.1.3.7; OpenID Connect Discovery 1.0,
4.1 and 4.3 (the issuer's name is compared to the letter); RFC 7519; RFC 8725.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.domain.errors import InputError
from service.domain.hours import Clock
from service.observe.log import get_logger

if TYPE_CHECKING:  # imported where they are used: most deployments start without an issuer
    from joserfc import jwt
    from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Signatures by keys that only the issuer holds: never ``none``, never a shared secret."""

LEEWAY_SECONDS = 30
KEYS_KEPT_SECONDS = 600
KEYS_TRUSTED_SECONDS = 3600
"""How long keys are trusted when the issuer cannot be asked for newer ones."""

KEYS_SOUGHT_AGAIN_SECONDS = 5
FAILURE_KEPT_SECONDS = 5
EXCHANGES_AT_ONCE = 4
"""How many sign-ins may wait for the issuer at the same time; each holds a worker meanwhile."""

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
    """One identity provider, named as it names itself. Safe to use from several threads.

    ``exchanges`` bounds how many sign-ins ask it for tokens at once.
    """

    def __init__(self, url: str, *, clock: Clock, monotonic: Callable[[], float]) -> None:
        # To the letter: an identifier that ends in a slash is another one than without it.
        self.url = require_secure(url, variable="TENOR_OIDC_ISSUER")
        self.exchanges = threading.BoundedSemaphore(EXCHANGES_AT_ONCE)
        self._clock = clock
        self._monotonic = monotonic
        # Guards what is remembered; never held while the issuer is asked.
        self._lock = threading.Lock()
        self._endpoints: Endpoints | None = None
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")
        self._is_asked = False
        self._failure: tuple[float, str] = (float("-inf"), "")

    def now(self) -> int:
        """The second that tokens' times are compared with, since 1970 in UTC."""
        return int(self._clock.now().timestamp())

    def endpoints(self) -> Endpoints:
        """The issuer's addresses, from its own metadata, read once.

        Raises ``IssuerUnreachableError``, at once while another thread asks or the last try failed.
        """
        with self._lock:
            known = self._endpoints
        if known is not None:
            return known
        with self._only_asker():
            return self._discovered()

    def claims(self, token: str, *, audience: str) -> Mapping[str, Any]:
        """What ``token`` says, if the issuer signed it for ``audience`` and its time is now.

        Raises ``NotTrustedError`` otherwise, ``IssuerUnreachableError`` when its keys cannot be
        had.
        """
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        registry = jwt.JWTClaimsRegistry(
            now=self.now,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.url},
            aud={"essential": True, "value": audience},
            sub={"essential": True, "allow_blank": False},
            exp={"essential": True},
        )
        claims: dict[str, Any] = self.signed(token).claims
        try:
            registry.validate(claims)
        except JoseError as error:
            raise NotTrustedError(str(error)) from error
        return claims

    def signed(self, token: str) -> jwt.Token:
        """``token`` taken apart, if the issuer signed it; what it claims is not looked at.

        Errors as for ``claims``.
        """
        from joserfc.errors import JoseError  # noqa: PLC0415

        if len(token) > TOKEN_LENGTH_MAX:
            msg = "the token is too long"
            raise NotTrustedError(msg)
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
            keys, age = self._keys, self._monotonic() - self._keys_at
        if keys is not None and age < KEYS_KEPT_SECONDS:
            return keys
        try:
            return self._read_keys()
        except IssuerUnreachableError:
            if keys is None or age >= KEYS_TRUSTED_SECONDS:
                raise
            return keys

    def _fresh_keys(self) -> KeySet | None:
        with self._lock:
            if self._monotonic() - self._keys_at < KEYS_SOUGHT_AGAIN_SECONDS:
                return None
        return self._read_keys()

    @contextmanager
    def _only_asker(self) -> Iterator[None]:
        """The one turn to ask. ``IssuerUnreachableError`` where another has it, or one failed."""
        with self._lock:
            failed_at, why = self._failure
            if self._monotonic() - failed_at < FAILURE_KEPT_SECONDS:
                raise IssuerUnreachableError(why)
            if self._is_asked:
                msg = "the issuer is being asked and has not answered yet"
                raise IssuerUnreachableError(msg)
            self._is_asked = True
        try:
            yield
        except IssuerUnreachableError as error:
            with self._lock:
                self._failure = (self._monotonic(), str(error))
            get_logger("tenor.api").warning("api.issuer_unreachable", why=str(error))
            raise
        finally:
            with self._lock:
                self._is_asked = False

    def _read_keys(self) -> KeySet:
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        with self._only_asker():
            found = get_json((self._endpoints or self._discovered()).keys).get("keys")
            if not isinstance(found, list):
                msg = "the issuer's keys cannot be read"
                raise IssuerUnreachableError(msg)
            signing = [
                key
                for key in found
                if isinstance(key, dict)
                and key.get("use", "sig") == "sig"
                and key.get("kty") in {"RSA", "EC"}
            ]
            try:
                keys = KeySet.import_key_set({"keys": signing})
            except (JoseError, ValueError, KeyError) as error:
                msg = "the issuer's keys cannot be used"
                raise IssuerUnreachableError(msg) from error
            with self._lock:
                self._keys, self._keys_at = keys, self._monotonic()
            return keys

    def _discovered(self) -> Endpoints:
        found = get_json(f"{self.url.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.url:
            msg = f"the metadata is of {found.get('issuer')!r:.300}, not of {self.url!r}"
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
        endpoints = Endpoints(*addresses)
        with self._lock:
            self._endpoints = endpoints
        return endpoints


def get_json(url: str) -> Mapping[str, Any]:
    """The JSON object at ``url``; ``IssuerUnreachableError`` when there is none."""
    import httpx2  # noqa: PLC0415

    try:
        # No proxy or credentials of the environment, and no redirects to elsewhere.
        with httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.get(url)
            found = answer.json() if len(answer.content) <= ANSWER_BYTES_MAX else None
    except (httpx2.HTTPError, ValueError) as error:
        msg = f"the issuer cannot be asked ({type(error).__name__})"
        raise IssuerUnreachableError(msg) from error
    if answer.status_code != httpx2.codes.OK or not isinstance(found, dict):
        msg = f"the issuer answered {answer.status_code}"
        raise IssuerUnreachableError(msg)
    return found
