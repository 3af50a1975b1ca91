"""Decides how this service may be reached: its hosts, rates, session key and identity provider.

Read from the settings once, when the service starts: what is wrong stops it there.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from service.api.identity import Identity, public_address, roles_of, secret_in
from service.api.limiting import Limiter, Rates
from service.api.oidc import Issuer
from service.domain.errors import InputError
from service.domain.hours import Clock
from service.settings import Settings

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SESSION_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Access:
    """How the service may be reached. ``hosts``: what a request's Host may say, without port.

    ``session_key`` signs browser sessions. ``public_url`` is where browsers come from;
    ``None`` where nobody said. ``identity`` is ``None`` without an identity provider. What
    ``trusted_proxies`` forward is believed to be of the address that they name.
    """

    hosts: frozenset[str] = frozenset(LOOPBACK_HOSTS)
    session_key: bytes = field(
        default_factory=lambda: secrets.token_bytes(SESSION_KEY_BYTES), repr=False
    )
    limiter: Limiter = field(default_factory=lambda: Limiter(Rates()))
    identity: Identity | None = None
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()

    @property
    def is_tls(self) -> bool:
        """True when browsers reach the service over TLS, whoever ends it."""
        return self.public_url is not None and self.public_url.startswith("https:")


def access_from(settings: Settings, clock: Clock) -> Access:
    """What the settings say; ``InputError`` names the variable for anything unusable."""
    public = None if settings.public_url is None else public_address(settings.public_url)
    hosts = _hosts(settings)
    if public is not None:
        _require_allowed(public, hosts)
    key = secrets.token_bytes(SESSION_KEY_BYTES)
    if settings.session_key_file is not None:
        key = _session_key(settings.session_key_file)
    return Access(
        hosts=hosts,
        session_key=key,
        limiter=Limiter(
            Rates(
                per_address=settings.requests_per_minute,
                per_principal=settings.requests_per_minute,
            )
        ),
        identity=_identity(settings, clock, public),
        public_url=public,
        trusted_proxies=proxies_in(settings.trusted_proxies),
    )


def proxies_in(text: str) -> tuple[str, ...]:
    """Addresses and networks, by commas; ``InputError`` for anything else, ``*`` too."""
    named = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in named:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise InputError(
                f"{one!r} is neither an address nor a network",
                file="the environment",
                column="TENOR_TRUSTED_PROXIES",
                remedy="Give the proxies' own addresses, such as 127.0.0.1 or 10.0.0.0/24.",
            ) from error
    return named


def _hosts(settings: Settings) -> frozenset[str]:
    named = {host.strip().lower() for host in settings.allowed_hosts.split(",") if host.strip()}
    return frozenset(named or LOOPBACK_HOSTS)


def _require_allowed(public: str, hosts: frozenset[str]) -> None:
    """Browsers call this service by its public name; refused by that they would get no page."""
    host = urlsplit(public).hostname or ""
    name = f"[{host}]" if ":" in host else host
    if name not in hosts:
        raise InputError(
            f"does not have {name}, the name in TENOR_PUBLIC_URL",
            file="the environment",
            column="TENOR_ALLOWED_HOSTS",
            remedy=f"Add {name} to it, or mend TENOR_PUBLIC_URL.",
        )


def _session_key(path: Path) -> bytes:
    key = secret_in(path, variable="TENOR_SESSION_KEY_FILE").encode()
    if len(key) < SESSION_KEY_BYTES:
        raise InputError(
            f"holds fewer than {SESSION_KEY_BYTES} characters",
            file=str(path),
            column="TENOR_SESSION_KEY_FILE",
            remedy="Write 64 random hexadecimal digits into it: openssl rand -hex 32.",
        )
    return key


def _identity(settings: Settings, clock: Clock, public: str | None) -> Identity | None:
    roles = roles_of(settings.oidc_roles, variable="TENOR_OIDC_ROLES")
    if settings.oidc_issuer is None:
        return None
    for value, variable in (
        (settings.oidc_client_id, "TENOR_OIDC_CLIENT_ID"),
        (public, "TENOR_PUBLIC_URL"),
    ):
        if value is None:
            raise InputError(
                "is needed beside TENOR_OIDC_ISSUER",
                file="the environment",
                column=variable,
                remedy=f"Set {variable}, or unset TENOR_OIDC_ISSUER.",
            )
    secret = settings.oidc_client_secret_file
    return Identity(
        issuer=Issuer(settings.oidc_issuer, clock=clock, monotonic=time.monotonic),
        client_id=settings.oidc_client_id or "",
        client_secret=(
            None if secret is None else secret_in(secret, variable="TENOR_OIDC_CLIENT_SECRET_FILE")
        ),
        audience=settings.oidc_audience or settings.oidc_client_id or "",
        roles_claim=settings.oidc_roles_claim,
        roles=roles,
        accounts_claim=settings.oidc_accounts_claim,
        public_url=public or "",
    )
