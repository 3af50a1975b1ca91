"""The one credential that an access names, as the SDK wants it; no chain, nothing ambient."""

from __future__ import annotations

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport

from service.domain.errors import InputError
from service.providers.azure.access import AzureAccess, ClientCertificate, ClientSecret
from service.providers.azure.transport import transport_of

AUTHORITY = "https://login.microsoftonline.com"
"""Whom secrets are shown to: named, because the SDK would ask ``AZURE_AUTHORITY_HOST`` else."""
_READ_TIMEOUT_SECONDS = 60.0


def credential_of(access: AzureAccess) -> TokenCredential:
    """The credential that ``access`` names; ``InputError`` when it cannot be used."""
    from azure import identity  # noqa: PLC0415 - heavy

    match access.credential:
        case ClientSecret(client_id, secret):
            return identity.ClientSecretCredential(
                access.tenant_id,
                client_id,
                secret,
                authority=AUTHORITY,
                transport=_transport(access),
            )
        case ClientCertificate(client_id, path, password):
            return _with_certificate(access, client_id, str(path), password)
        case None:
            raise InputError(
                "there is no credential", file="the settings", remedy="Name one for Azure."
            )
        case workload:
            return identity.WorkloadIdentityCredential(
                tenant_id=access.tenant_id,
                client_id=workload.client_id,
                token_file_path=str(workload.token_file),
                authority=AUTHORITY,
                transport=_transport(access),
            )


def _transport(access: AzureAccess) -> RequestsTransport:
    return transport_of(access, read_timeout_seconds=_READ_TIMEOUT_SECONDS)


def _with_certificate(
    access: AzureAccess, client_id: str, path: str, password: str | None
) -> TokenCredential:
    from azure import identity  # noqa: PLC0415 - heavy

    try:
        return identity.CertificateCredential(
            access.tenant_id,
            client_id,
            path,
            password=password,
            authority=AUTHORITY,
            transport=_transport(access),
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"the certificate cannot be used: {error}",
            file=path,
            remedy="Give a PEM or PKCS12 file that holds the certificate and its key.",
        ) from error
