"""Settings: read once from a file and the environment, checked strictly, passed on in pieces.

Every variable starts with ``TENOR_``, the file's keys are the same names in lower case; an unknown
one is an error with a suggestion, because a misspelt limit that is silently ignored is how money
is lost. No secret has a default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from service.domain.errors import InputError
from service.guard.yaml_lines import read_yaml

AwsSource = Literal["environment", "container", "instance"]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given),
]
PREFIX = "TENOR_"
CONFIG_FILE = "TENOR_CONFIG_FILE"
READ_ELSEWHERE = frozenset({"TENOR_TEST_POSTGRES_URL", CONFIG_FILE})


def _web_address(given: str) -> str:
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "must begin with http:// or https:// and a host"
        raise ValueError(message)
    return given


class Settings(BaseModel):
    """How one Tenor process is set up. Field ``x_y`` is the variable ``TENOR_X_Y``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str = Field(
        default="sqlite:///var/tenor.db", description="SQLite or PostgreSQL (postgresql+psycopg://)"
    )
    data_dir: Path = Field(default=Path("var"), description="usage files and caches")
    policy_file: Path = Field(
        default=Path("policies/default.yaml"), description="the policy, re-read every cycle"
    )
    exports: Path = Field(
        default=Path("var/exports"), description="file or folder of billing exports to ingest"
    )
    alerts_file: Path | None = Field(
        default=None, description="who hears of what; unset, alerts are kept and sent to nobody"
    )
    changes_file: Path | None = Field(
        default=None, description="register of planned changes in demand, read every cycle"
    )
    holidays_file: Path | None = Field(
        default=None, description="calendar of holidays, read every cycle"
    )
    aws_region: str = Field(default="us-east-1", description="region for regional AWS calls")
    aws_endpoint_url: str | None = Field(
        default=None, description="loopback only: a sandbox cloud instead of AWS"
    )
    aws_role_arn: str | None = Field(default=None, description="role to assume in the payer")
    aws_external_id: str | None = Field(
        default=None, description="external id of that role; `none` where its trust asks for none"
    )
    aws_profile: str | None = Field(
        default=None, description="named credentials that may assume the role; one of these three"
    )
    aws_token_file: Path | None = Field(
        default=None, description="file that the platform writes its web identity token into, with"
    )
    aws_token_role_arn: str | None = Field(
        default=None, description="the role that this token may assume"
    )
    aws_source: AwsSource | None = Field(
        default=None, description="the machine's own: environment, container or instance"
    )
    gcp_project: str | None = Field(
        default=None, description="Google Cloud project that owns what is bought; with the next"
    )
    gcp_billing_account: str | None = Field(
        default=None, description="billing account that pays, as 01AB23-45CD67-89EF01"
    )
    gcp_credentials_file: Path | None = Field(
        default=None, description="service account key or workload identity configuration"
    )
    gcp_impersonate: str | None = Field(
        default=None, description="service account to speak as, with those credentials"
    )
    gcp_endpoint_url: str | None = Field(
        default=None, description="loopback only: a sandbox cloud instead of Google Cloud"
    )
    gcp_flexible_offer_12: str | None = Field(
        default=None, description="Google's offer of one-year flexible commitments; unset, none"
    )
    gcp_flexible_offer_36: str | None = Field(default=None, description="the same of three years")
    gcp_flexible_past_offers_12: str = Field(
        default="",
        description="by commas, Google's earlier offers of one-year ones: orders of them are read",
    )
    gcp_flexible_past_offers_36: str = Field(default="", description="the same of three years")
    gcp_flexible_region: str = Field(
        default="global", description="region that orders of flexible commitments name"
    )
    gcp_shared_commitments: bool = Field(
        default=False, description="the billing account shares resource commitments"
    )
    gcp_export_table: str | None = Field(
        default=None, description="BigQuery billing export, as project.dataset.table"
    )
    azure_tenant_id: str | None = Field(default=None, description="tenant; sets Azure up")
    azure_subscription_id: str | None = Field(
        default=None, description="subscription that pays for what is bought in Azure"
    )
    azure_client_id: str | None = Field(default=None, description="service principal to speak as")
    azure_client_secret: SecretStr | None = Field(default=None, description="its secret, or")
    azure_certificate_file: Path | None = Field(
        default=None, description="its certificate with the key (PEM or PKCS12), or"
    )
    azure_certificate_password: SecretStr | None = Field(
        default=None, description="password of that file"
    )
    azure_token_file: Path | None = Field(
        default=None, description="file that the platform writes its workload identity token into"
    )
    azure_billing_scope: str | None = Field(
        default=None, description="what purchases are charged to, if not the subscription"
    )
    azure_exports_url: str | None = Field(
        default=None, description="blob container of Cost Management's FOCUS exports"
    )
    azure_exports_prefix: str = Field(default="", description="folder of the export in it")
    azure_daily_rows: Literal["refuse", "shape"] = Field(
        default="refuse",
        description="what becomes of Azure's rows of whole days: shape estimates their hours",
    )
    azure_charges_scope: str | None = Field(
        default=None,
        description="billing account (or subscription) of the exports, if not the subscription "
        "above: its hourly charges shape those days",
    )
    azure_shape_tolerance_ratio: Decimal = Field(
        default=Decimal("0.1"),
        ge=0,
        lt=1,
        description="how far a day's rows may be from its hourly charges, 0 to 1",
    )
    azure_price_sheet: Path | None = Field(
        default=None, description="file or folder with a negotiated price sheet"
    )
    azure_price_sheet_prefix: str | None = Field(
        default=None, description="folder of its export in that container, brought to that folder"
    )
    azure_endpoint_url: str | None = Field(
        default=None, description="loopback only: a sandbox cloud instead of Azure"
    )
    aws_exports_s3: str | None = Field(
        default=None, description="s3://bucket/prefix of a billing export, fetched into exports"
    )
    aws_cost_explorer_requests: int = Field(
        default=0,
        ge=0,
        description="paid Cost Explorer requests allowed in one fetch, 0.01 USD each; 0 asks none",
    )
    aws_reservation_zones: str = Field(
        default="", description="zones, by commas, whose zonal EC2 reservations are offered too"
    )
    aws_purchase_account: str | None = Field(
        default=None, description="account that owns what is bought; others are never bought in"
    )
    lag_hours: int = Field(default=48, ge=0, description="younger usage is refused for decisions")
    history_hours: int = Field(
        default=9_528, ge=24 * 28, description="how much usage a decision looks back on"
    )
    cycle_every_hours: int = Field(default=168, ge=1, description="between decision cycles")
    ingest_every_hours: int = Field(default=6, ge=1, description="between readings of exports")
    reconcile_every_hours: int = Field(default=1, ge=1, description="between inventory readings")
    listing_lag_hours: int = Field(
        default=1, ge=0, description="how long an inventory may not show a purchase yet"
    )
    lease_seconds: int = Field(default=60, ge=5, description="how long an executor is trusted")
    listen_host: str = Field(default="127.0.0.1", description="address of the status API")
    listen_port: int = Field(default=8321, ge=0, le=65535, description="its port; 0 picks one")
    open_reads: bool = Field(
        default=False, description="let anyone who reaches the API read it (never write)"
    )
    allowed_hosts: str = Field(
        default="localhost,127.0.0.1,[::1]", description="names a request may call this service by"
    )
    public_url: str | None = Field(default=None, description="where browsers reach this service")
    requests_per_minute: int = Field(
        default=1_200, ge=10, description="by one token or sign-in, and by one address"
    )
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks, by commas, of proxies whose X-Forwarded-For counts",
    )
    session_key_file: Path | None = Field(
        default=None, description="key that signs sessions; replicas share it, else each makes one"
    )
    oidc_issuer: str | None = Field(default=None, description="OpenID Connect identity provider")
    oidc_client_id: str | None = Field(default=None, description="this service's name there")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="file with its secret; none for a public client"
    )
    oidc_audience: str | None = Field(
        default=None, description="whom bearer tokens must be for, if not the client"
    )
    oidc_roles_claim: str = Field(default="roles", description="claim that lists what roles are by")
    oidc_roles: str = Field(default="", description="its values as roles: value=role, ...")
    oidc_accounts_claim: str | None = Field(
        default=None, description="claim that lists the accounts one is limited to"
    )
    seed: int = Field(default=0, description="seed of the forecast's scenarios")
    traces_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, description="OpenTelemetry collector, OTLP over HTTP: http(s)://…/v1/traces"
    )
    log_level: LogLevel = Field(
        default="INFO", description="least level that is logged: DEBUG, INFO, WARNING, ERROR"
    )

    @property
    def usage_dir(self) -> Path:
        """Where the hourly usage files live."""
        return self.data_dir / "usage"


def read_settings(environment: Mapping[str, str], **overrides: object) -> Settings:
    """Settings from the file that ``TENOR_CONFIG_FILE`` names, then ``environment``, which wins.

    ``overrides`` that are not ``None`` win over both. Raises ``InputError`` naming the variable,
    or the file and its line, for an unknown name or an unusable value.
    """
    return sourced(environment, **overrides).settings


def read_reaching(
    environment: Mapping[str, str], *, database_url: str | None
) -> tuple[Settings, InputError | None]:
    """What reaches the database, and what is wrong with the other settings, if anything.

    For stopping everything, which no misspelt setting may prevent. Then the database must be named
    by ``database_url`` or by its variable: a guess would halt another one, so without either of
    them the error is raised.
    """
    try:
        return read_settings(environment, database_url=database_url), None
    except InputError as error:
        named = database_url or environment.get(f"{PREFIX}DATABASE_URL")
        if named is None:
            raise
        policy = environment.get(f"{PREFIX}POLICY_FILE")
        given = {"database_url": named} | ({} if policy is None else {"policy_file": policy})
        return Settings.model_validate(given), error


@dataclass(frozen=True, slots=True)
class Sourced:
    """Settings, and where each that was set comes from: a file's line, or the environment."""

    settings: Settings
    sources: Mapping[str, str]


def sourced(environment: Mapping[str, str], **overrides: object) -> Sourced:
    """``read_settings``, with the source of each."""
    given, sources = _from_file(environment.get(CONFIG_FILE))
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in READ_ELSEWHERE:
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in Settings.model_fields:
            raise _unknown(name)
        given[field], sources[field] = environment[name], "the environment"
    chosen = {name: value for name, value in overrides.items() if value is not None}
    given.update(chosen)
    sources.update(dict.fromkeys(chosen, "the command line"))
    try:
        return Sourced(Settings.model_validate(given), sources)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        source = sources[field]
        from_file = source not in {"the environment", "the command line"}
        name = field if from_file else PREFIX + field.upper()
        raise InputError(
            f"{first['msg'].removeprefix('Value error, ')} (given: {first['input']!r})",
            file=source,
            column=name,
            remedy=f"Set {name} to a usable value or take it out.",
        ) from error


def _from_file(named: str | None) -> tuple[dict[str, object], dict[str, str]]:
    """What the file sets, and the line of each."""
    if named is None:
        return {}, {}
    try:
        content = Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read ({error})",
            file=named,
            column=CONFIG_FILE,
            remedy=f"Set {CONFIG_FILE} to a readable file, or unset it.",
        ) from error
    document = read_yaml(content, file=named)
    if document.problems:
        first = min(document.problems)
        raise InputError(
            first.problem, file=named, row=first.line, column=first.key, remedy=first.remedy
        )
    value = document.value
    given = {str(name): inner for name, inner in (value if isinstance(value, dict) else {}).items()}
    for name in given:
        if name not in Settings.model_fields:
            close = difflib.get_close_matches(name, Settings.model_fields, n=1)
            raise InputError(
                "is not a setting",
                file=named,
                row=document.line_of((name,)),
                column=name,
                remedy=f"Did you mean {close[0]}?" if close else "docs/operations.md has them all.",
            )
    return given, {name: f"{named}, line {document.line_of((name,))}" for name in given}


def _unknown(name: str) -> InputError:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
    return InputError("is not a setting", file="the environment", column=name, remedy=hint)


def settings_table() -> list[tuple[str, str, str]]:
    """Every variable with its default and meaning, in order, for the documentation."""
    return [
        (
            PREFIX + name.upper(),
            "" if field.default is None else str(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
