"""Money, instants, quantities and documents come back from either database as they went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import IntegrityError

from service.domain.errors import InputError, InvariantError
from service.domain.purchases import IntentState, ProposalState
from service.store import schema
from service.store.engine import open_engine, reading, writing
from service.store.metadata import (
    ExactDecimal,
    JsonDocument,
    NanoUsd,
    UtcInstant,
    canonical_json,
)
from service.store.states import RunState

SAMPLES = Table(
    "samples",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("amount_usd", NanoUsd),
    Column("quantity", ExactDecimal),
    Column("at", UtcInstant),
    Column("document", JsonDocument),
)


def there_and_back(engine: Engine, **values: object) -> dict[str, object]:
    with writing(engine) as connection:
        SAMPLES.create(connection, checkfirst=True)
        connection.execute(SAMPLES.delete())
        connection.execute(insert(SAMPLES).values(number=1, **values))
    with reading(engine) as connection:
        row = connection.execute(select(SAMPLES)).mappings().one()
    return {name: row[name] for name in values}


@pytest.mark.parametrize(
    "amount", ["0", "0.000000001", "-0.000000001", "12345678.123456789", "9223372036.854775807"]
)
def test_money_keeps_every_nano_dollar(engine: Engine, amount: str) -> None:
    assert there_and_back(engine, amount_usd=Decimal(amount)) == {"amount_usd": Decimal(amount)}


@pytest.mark.parametrize("amount", [0.1, 1, "1", Decimal("NaN"), Decimal("9223372036.854775808")])
def test_money_that_is_no_decimal_or_does_not_fit_is_refused(
    sqlite_engine: Engine, amount: object
) -> None:
    with pytest.raises(Exception, match=r"money|dollars") as caught:
        there_and_back(sqlite_engine, amount_usd=amount)
    assert isinstance(caught.value.__cause__ or caught.value, InvariantError)


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=9
    )
)
def test_any_amount_survives_the_trip_through_a_bigint(amount: Decimal) -> None:
    kind, dialect = NanoUsd(), open_engine("sqlite:///unused.db").dialect
    stored = kind.process_bind_param(amount, dialect)
    assert isinstance(stored, int)
    assert kind.process_result_value(stored, dialect) == amount


@pytest.mark.parametrize("quantity", ["0.1", "123456789012345678901234567890.0000000001", "3"])
def test_quantities_are_exact_however_long(engine: Engine, quantity: str) -> None:
    assert there_and_back(engine, quantity=Decimal(quantity)) == {"quantity": Decimal(quantity)}


def test_a_float_quantity_is_refused(sqlite_engine: Engine) -> None:
    with pytest.raises(Exception, match="finite Decimal"):
        there_and_back(sqlite_engine, quantity=0.5)


def test_instants_come_back_aware_and_in_utc(engine: Engine) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    there = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=zone)
    [back] = there_and_back(engine, at=there).values()
    assert back == there
    assert isinstance(back, datetime)
    assert back.tzinfo is UTC


def test_a_naive_instant_is_refused(sqlite_engine: Engine) -> None:
    with pytest.raises(Exception, match="naive"):
        there_and_back(sqlite_engine, at=datetime(2026, 3, 29))  # noqa: DTZ001


def test_documents_hold_no_floats() -> None:
    with pytest.raises(InvariantError, match=r"0\.1"):
        canonical_json({"deep": [{"amount": 0.1}]})


def test_the_same_document_is_the_same_text_whatever_its_order() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1})


@pytest.mark.parametrize(
    ("table", "column", "states"),
    [
        ("intents", "state", IntentState),
        ("proposals", "state", ProposalState),
        ("cycles", "state", RunState),
    ],
)
def test_the_database_admits_every_state_and_no_other(
    engine: Engine, table: str, column: str, states: type[StrEnum]
) -> None:
    admitted = next(
        str(check.sqltext)  # type: ignore[attr-defined]
        for check in schema.SCHEMA.tables[table].constraints
        if str(check.name).endswith(f"_{column}")
    )
    assert [f"'{state.value}'" in admitted for state in states] == [True] * len(states)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO cycles (cycle_id, schedule, due_at, state, started_at, summary)"
                " VALUES ('c', 's', '2026-01-01', 'paused', '2026-01-01', '{}')"
            )
        )


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "nonsense"])
def test_only_databases_that_keep_what_they_are_told_are_opened(url: str) -> None:
    with pytest.raises(InputError):
        open_engine(url)


def test_readers_do_not_wait_for_a_writer(sqlite_engine: Engine) -> None:
    with writing(sqlite_engine) as writer:
        writer.execute(insert(schema.policies).values(**policy("a")))
        with reading(sqlite_engine) as reader:
            assert reader.execute(select(schema.policies)).all() == []


def test_a_transaction_that_fails_writes_nothing(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(schema.policies), [policy("a"), policy("a")])
    with reading(engine) as connection:
        assert connection.execute(select(schema.policies)).all() == []


def policy(digest: str) -> dict[str, object]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return {"digest": digest, "body": "", "first_seen_at": now, "last_seen_at": now}
