"""Decides whom a browser's sign-in is by: what is asked of the identity provider, what is believed.

The protocol is authlib's: the authorization request with PKCE, the exchange of the code as this
client, and the checks of the ID token. What is ours is whose signature counts (``oidc``), how long
is waited, and that the provider's tokens are thrown away. Sources: OpenID Connect Core 1.0, 3.1;
RFC 7636; RFC 9700 (best current practice of OAuth 2.0 security).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.api.identity import Identity
from service.api.oidc import (
    ANSWER_BYTES_MAX,
    LEEWAY_SECONDS,
    TIMEOUT_SECONDS,
    IssuerUnreachableError,
    NotTrustedError,
)

if TYPE_CHECKING:  # authlib brings an HTTP client along: most deployments start without an issuer
    import httpx2

SCOPE = "openid profile email"


def question(identity: Identity, *, back: str, state: str, nonce: str, verifier: str) -> str:
    """The address at the identity provider that a browser is sent to, to come back to ``back``.

    Raises ``IssuerUnreachableError`` when the provider's addresses cannot be had.
    """
    from authlib.oauth2.client import (  # type: ignore[import-untyped]  # noqa: PLC0415
        OAuth2Client,
    )

    asker = OAuth2Client(
        session=None,
        client_id=identity.client_id,
        scope=SCOPE,
        redirect_uri=back,
        code_challenge_method="S256",
    )
    where = identity.issuer.endpoints().authorization
    url, _ = asker.create_authorization_url(where, state=state, nonce=nonce, code_verifier=verifier)
    return str(url)


def claims_for(
    identity: Identity, *, code: str, back: str, nonce: str, verifier: str
) -> Mapping[str, Any]:
    """What the provider says of who came back with ``code`` from the question with ``nonce``.

    Raises ``NotTrustedError`` when its answer proves nothing, ``IssuerUnreachableError`` when it
    cannot be asked, or too many others wait for its answer already.
    """
    where = identity.issuer.endpoints().token
    if not identity.issuer.exchanges.acquire(blocking=False):
        msg = "too many sign-ins wait for the identity provider"
        raise IssuerUnreachableError(msg)
    try:
        answer = _exchanged(identity, where, code=code, back=back, verifier=verifier)
    finally:
        identity.issuer.exchanges.release()
    return _believed(identity, answer, nonce=nonce)


def _exchanged(
    identity: Identity, where: str, *, code: str, back: str, verifier: str
) -> Mapping[str, Any]:
    import httpx2  # noqa: PLC0415
    from authlib.integrations.base_client import (  # type: ignore[import-untyped]  # noqa: PLC0415
        OAuthError,
    )
    from authlib.integrations.httpx_client import (  # type: ignore[import-untyped]  # noqa: PLC0415
        OAuth2Client,
    )

    try:
        # No proxy or credentials of the environment, and no redirects to elsewhere.
        with OAuth2Client(
            client_id=identity.client_id,
            client_secret=identity.client_secret,
            redirect_uri=back,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        ) as client:
            client.register_compliance_hook("access_token_response", _bounded)
            answer: Mapping[str, Any] = client.fetch_token(
                where, grant_type="authorization_code", code=code, code_verifier=verifier
            )
    except OAuthError as error:
        msg = f"the identity provider refused the code ({error.error!r:.100})"
        raise NotTrustedError(msg) from error
    except (httpx2.HTTPError, ValueError, TypeError) as error:
        msg = f"the identity provider cannot be asked ({type(error).__name__})"
        raise IssuerUnreachableError(msg) from error
    return answer


def _bounded(answer: httpx2.Response) -> httpx2.Response:
    if len(answer.content) > ANSWER_BYTES_MAX:
        msg = "the answer is too long"
        raise ValueError(msg)
    return answer


def _believed(identity: Identity, answer: Mapping[str, Any], *, nonce: str) -> Mapping[str, Any]:
    from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415

    token = answer.get("id_token")
    if not isinstance(token, str):
        msg = "the answer holds no ID token"
        raise NotTrustedError(msg)
    signed = identity.issuer.signed(token)
    claims = CodeIDToken(
        signed.claims,
        signed.header,
        options={
            "iss": {"essential": True, "value": identity.issuer.url},
            "aud": {"essential": True, "value": identity.client_id},
            "sub": {"essential": True},
        },
        params={
            "nonce": nonce,
            "client_id": identity.client_id,
            "access_token": answer.get("access_token"),
        },
    )
    try:
        claims.validate(now=identity.issuer.now(), leeway=LEEWAY_SECONDS)
    except (JoseError, TypeError, ValueError) as error:
        raise NotTrustedError(str(error)) from error
    return dict(claims)
