"""How requests to Azure leave: nothing of the machine goes along but its way out to the network."""

from __future__ import annotations

from azure.core.pipeline.transport import RequestsTransport
from requests import Session
from urllib3.util import Retry

from service.providers.azure.access import AzureAccess
from service.providers.surroundings import close_to_surroundings


def transport_of(access: AzureAccess, *, read_timeout_seconds: float) -> RequestsTransport:
    """A transport that retries nothing by itself; whoever makes a client with it closes it."""
    timeouts = {
        "connection_timeout": access.connect_timeout_seconds,
        "read_timeout": read_timeout_seconds,
    }
    if access.endpoint_url is not None:
        # Loopback is never asked for through somebody else.
        return RequestsTransport(**timeouts, use_env_settings=False)
    session = Session()
    close_to_surroundings(
        session, retries=Retry(total=False, redirect=False, raise_on_status=False)
    )
    return RequestsTransport(**timeouts, session=session, use_env_settings=False)
