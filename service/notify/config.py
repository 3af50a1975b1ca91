"""Reads ``alerts.yaml``: who hears of what, when they want to be left alone, and the thresholds.

Strict like the policy: a key that is not known is an error with its line, and a secret is never
in the file but in an environment variable that the file names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from service.domain.errors import InputError
from service.guard.fields import Hours, Ratio, Text, TimeOfDay, Zone
from service.guard.yaml_lines import read_yaml
from service.notify.alerts import AlertKind, Severity
from service.notify.standing import Thresholds

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QuietHours(_Part):
    """A part of each day in which only critical alerts are sent; the rest waits for its end."""

    start: TimeOfDay
    end: TimeOfDay
    timezone: Zone = "UTC"


class Digest(_Part):
    """Everything below critical, gathered into one message a day at ``at``."""

    at: TimeOfDay
    timezone: Zone = "UTC"


def _kinds(value: object) -> object:
    if value == "all":
        return tuple(AlertKind)
    return value


Kinds = Annotated[tuple[AlertKind, ...], BeforeValidator(_kinds)]


class Target(_Part):
    """One receiver. Either ``url`` (anything that apprise knows) or ``webhook`` (CloudEvents).

    ``${NAME}`` in a URL stands for the environment variable NAME. ``secret_env`` names the one
    that holds the webhook's signing key.
    """

    name: Text
    url: Text | None = None
    webhook: Text | None = None
    secret_env: Text | None = None
    kinds: Kinds = tuple(AlertKind)
    least: Severity = Severity.INFO
    quiet_hours: QuietHours | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.webhook is None):
            message = "give either url or webhook"
            raise ValueError(message)
        if (self.webhook is None) != (self.secret_env is None):
            message = "a webhook, and nothing else, has a secret_env"
            raise ValueError(message)
        if self.webhook is not None:
            parts = urlsplit(self.webhook)
            if parts.scheme != "https" and parts.hostname not in LOOPBACK:
                message = "a webhook outside this machine must be https"
                raise ValueError(message)
        return self


def _days(value: object) -> object:
    if isinstance(value, tuple) and all(type(one) is int and one > 0 for one in value):
        return value
    message = "must be a list of whole days such as [60, 30, 7]"
    raise ValueError(message)


class Limits(_Part):
    """From where on how things stand is told."""

    proposal_expires_within_hours: Hours = Decimal(24)
    data_age_hours: Hours = Decimal(72)
    utilization_floor_ratio: Ratio = Decimal("0.9")
    budget_ratio: Ratio = Decimal("0.9")
    expiry_days: Annotated[tuple[int, ...], BeforeValidator(_days)] = (60, 30, 7)

    def thresholds(self) -> Thresholds:
        """The same for the rules."""
        return Thresholds(
            proposal_expires_within_hours=self.proposal_expires_within_hours,
            data_age_hours=self.data_age_hours,
            utilization_floor_ratio=self.utilization_floor_ratio,
            budget_ratio=self.budget_ratio,
            expiry_days=self.expiry_days,
        )


class AlertsConfig(_Part):
    """All of ``alerts.yaml``. Without a file alerts are kept and shown, and sent to nobody."""

    version: Literal[1] = 1
    limits: Limits = Limits()
    targets: tuple[Target, ...] = Field(default=())
    attempts_max: Annotated[int, Field(ge=1, le=50)] = 8

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [target.name for target in self.targets]
        if len(set(names)) != len(names):
            message = "two targets have one name"
            raise ValueError(message)
        return self


def load_alerts(path: Path | None) -> AlertsConfig:
    """The file at ``path``, or the defaults for ``None``.

    Raises ``InputError`` (file, row, column, remedy) for anything that is not exactly the language.
    """
    if path is None:
        return AlertsConfig()
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the alerts file cannot be read ({error})",
            file=str(path),
            remedy="Set TENOR_ALERTS_FILE to a readable file, or unset it.",
        ) from error
    document = read_yaml(content, file=str(path))
    if document.problems:
        first = min(document.problems)
        raise InputError(
            first.problem, file=str(path), row=first.line, column=first.key, remedy=first.remedy
        )
    try:
        return AlertsConfig.model_validate(document.value)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        place = tuple(found["loc"])
        raise InputError(
            found["msg"].removeprefix("Value error, "),
            file=str(path),
            row=document.line_of(place),
            column=".".join(str(part) for part in place) or "alerts",
            remedy="docs/alerts.md describes every key.",
        ) from error


def revealed(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """``text`` with each ``${NAME}`` put in; ``InputError`` names a variable that is not set."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if not environment.get(name):
            raise InputError(
                "is not set, and an alert's receiver needs it",
                file="the environment",
                column=name,
                remedy=f"Set {name}, or take the receiver out of the alerts file.",
            )
        return environment[name]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value_of, text)
