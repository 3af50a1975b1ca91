"""Decides how Tenor's values look in a database: money, instants, quantities and documents.

SQLite and PostgreSQL hold the same values exactly: money is whole nano-dollars in a BIGINT,
quantities are decimal text, instants are UTC. Nothing here ever passes through a float: SQLite's
own NUMERIC does, silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, DateTime, MetaData, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from service.domain.errors import InvariantError
from service.domain.hours import require_utc
from service.domain.money import from_nano, nano, text

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of Tenor. Constraints are named by rule, so that a migration can find them."""

_LARGEST_NANO = 2**63 - 1


class NanoUsd(TypeDecorator[Decimal]):
    """Dollars as ``Decimal`` in Python, whole nano-dollars (BIGINT) in the database.

    Raises ``InvariantError`` for anything but a finite ``Decimal`` within ±9.2 billion dollars.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(
        self,
        value: object,
        dialect: Dialect,  # noqa: ARG002 - the same in every database
    ) -> int | None:
        """The amount in whole nano-dollars; half rounds to even."""
        if value is None:
            return None
        if not isinstance(value, Decimal):
            msg = f"money must be Decimal, not {type(value).__name__}"
            raise InvariantError(msg)
        amount = nano(value)
        if abs(amount) > _LARGEST_NANO:
            msg = f"{value} dollars do not fit a BIGINT of nano-dollars"
            raise InvariantError(msg)
        return amount

    def process_result_value(
        self,
        value: int | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> Decimal | None:
        """The stored amount in dollars, exactly."""
        return None if value is None else from_nano(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """A quantity or ratio: ``Decimal`` in Python, plain decimal text in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self,
        value: object,
        dialect: Dialect,  # noqa: ARG002
    ) -> str | None:
        """Decimal text without exponent; refuses floats, NaN and infinities."""
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            msg = f"a quantity must be a finite Decimal, not {value!r}"
            raise InvariantError(msg)
        return text(value)

    def process_result_value(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> Decimal | None:
        """The stored text as a ``Decimal``."""
        if value is None:
            return None
        try:
            return Decimal(value)
        except InvalidOperation as error:
            msg = f"the store holds {value!r} where a quantity belongs"
            raise InvariantError(msg) from error


class UtcInstant(TypeDecorator[datetime]):
    """An aware UTC instant. Naive ones are refused; SQLite, which drops zones, gets UTC back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant in UTC, without its zone where the database cannot hold one."""
        if value is None:
            return None
        instant = require_utc(value)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        """The instant, aware and in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def canonical_json(document: Mapping[str, object]) -> str:
    """One text for one document: sorted keys, no spaces. Refuses floats, which are not exact."""
    _refuse_floats(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        msg = f"a stored document holds the float {value!r}; use decimal text"
        raise InvariantError(msg)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                msg = f"a stored document has the key {key!r}, which is not text"
                raise InvariantError(msg)
            _refuse_floats(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_floats(inner)


class JsonDocument(TypeDecorator[dict[str, Any]]):
    """A JSON object as canonical text, the same bytes in both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self,
        value: Mapping[str, object] | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> str | None:
        """Canonical JSON text."""
        return None if value is None else canonical_json(value)

    def process_result_value(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """The object; ``InvariantError`` when the text is not one."""
        if value is None:
            return None
        document = json.loads(value)
        if not isinstance(document, dict):
            msg = "the store holds a document that is not a JSON object"
            raise InvariantError(msg)
        return document


def one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    """A CHECK that admits exactly the values of ``states``.

    An enum that grows without its CHECK fails at run time on somebody's live database, so
    ``migrate.drift`` compares the two.
    """
    admitted = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"{column} IN ({admitted})", name=column)
