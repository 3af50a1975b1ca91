"""What of the machine's surroundings reaches a request to a live cloud: the way out, and no more.

Proxies (``HTTPS_PROXY``, ``NO_PROXY`` and their like) and the bundle of certificates that they
need are how a machine reaches the network, and are taken from the environment for each address.
Whose credentials go along is none of its business: ``requests`` by itself would put a ``default``
entry of ``~/.netrc`` in the place of the token that was set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from urllib3.util import Retry

_SCHEMES = ("https://", "http://")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class ProxiedAdapter(HTTPAdapter):
    """Sends through the proxy that the environment names for the address, if it names one."""

    def send(self, request: PreparedRequest, *texts: Any, **options: Any) -> Response:  # noqa: ANN401
        """One send of ``request``, as ``requests`` does it; ``options`` are its own."""
        options["proxies"] = get_environ_proxies(request.url or "")
        if options.get("verify", True) is True:
            named = (os.environ.get(name) for name in _BUNDLES)
            options["verify"] = next((bundle for bundle in named if bundle), True)
        return super().send(request, *texts, **options)


def close_to_surroundings(session: Session, *, retries: Retry | int = 0) -> None:
    """Let ``session`` look at nothing that the machine holds but the way out; in its place."""
    session.trust_env = False
    for scheme in _SCHEMES:
        session.mount(scheme, ProxiedAdapter(max_retries=retries))
