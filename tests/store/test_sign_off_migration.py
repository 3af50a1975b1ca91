"""A database with a past keeps it when it learns of withdrawing, admins, terms and approvals."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from service.store import migrate
from service.store.engine import reading, writing

AT = "2026-03-02 09:30:00+00:00"
ROWS: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "cycles",
        {
            "cycle_id": "c",
            "schedule": "cycle",
            "due_at": AT,
            "state": "done",
            "started_at": AT,
            "summary": "{}",
        },
    ),
    (
        "plans",
        {
            "plan_id": "p",
            "cycle_id": "c",
            "decided_at": AT,
            "status": "optimal",
            "before_usd": 1,
            "after_usd": 1,
            "lower_bound_usd": 1,
            "usage_digest": "u",
            "prices_digest": "q",
            "commitments_digest": "k",
            "policy_digest": "d",
            "document": "{}",
        },
    ),
    (
        "plan_lines",
        {
            "plan_id": "p",
            "line_id": "l",
            "position": 0,
            "provider": "aws",
            "account": "a",
            "kind": "aws_compute_sp",
            "offering": "o",
            "quantity": "1",
            "commit_usd_per_hour": 1,
            "upfront_usd": 0,
            "total_usd": 8760,
            "document": "{}",
        },
    ),
    (
        "proposals",
        {
            "proposal_id": "p-1",
            "plan_id": "p",
            "line_id": "l",
            "state": "executed",
            "created_at": AT,
            "expires_at": "2026-03-09 09:30:00+00:00",
            "comment": "",
            "version": 2,
            "verdict": "{}",
        },
    ),
    (
        "intents",
        {
            "intent_id": "i",
            "token": "t",
            "plan_id": "p",
            "line_id": "l",
            "cycle_id": "c",
            "proposal_id": "p-1",
            "provider": "aws",
            "account": "a",
            "kind": "aws_compute_sp",
            "offering": "o",
            "quantity": "1",
            "commit_usd_per_hour": 1,
            "upfront_usd": 0,
            "total_usd": 8760,
            "state": "recorded",
            "fence": 1,
            "calls": 0,
            "recorded_at": AT,
            "updated_at": AT,
            "detail": "",
            "line": '{"term_months": 36}',
        },
    ),
    (
        "tokens",
        {
            "token_id": "tok_1",
            "label": "Ada",
            "role": "operator",
            "secret_hash": "h",
            "created_at": AT,
        },
    ),
)


def fill(connection: Connection) -> None:
    for table, row in ROWS:
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - our own rows
        connection.execute(text(statement), row)


@pytest.fixture
def upgraded(engine: Engine) -> Engine:
    """A database that had rows at the revision before, brought to this one."""
    migrate.downgrade(engine, "0003")
    with writing(engine) as connection:
        fill(connection)
    migrate.upgrade(engine)
    return engine


def test_rows_and_what_ties_them_survive(upgraded: Engine) -> None:
    with reading(upgraded) as connection:
        term = connection.execute(text("SELECT term_months FROM intents")).scalar_one()
        role = connection.execute(text("SELECT role FROM tokens")).scalar_one()
        if upgraded.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    assert (term, role) == (36, "operator")
    assert migrate.check(upgraded).is_current


@pytest.mark.parametrize(
    "statement",
    ["UPDATE proposals SET state = 'withdrawn'", "UPDATE tokens SET role = 'admin'"],
)
def test_new_words_are_admitted_and_go_back_to_old_ones(upgraded: Engine, statement: str) -> None:
    with writing(upgraded) as connection:
        connection.execute(text(statement))
    migrate.downgrade(upgraded, "0003")
    with reading(upgraded) as connection:
        states = connection.execute(text("SELECT state FROM proposals")).scalars().all()
        roles = connection.execute(text("SELECT role FROM tokens")).scalars().all()
    assert set(states) <= {"executed", "expired"}
    assert roles == ["operator"]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE proposals SET state = 'odd'", "UPDATE tokens SET role = 'root'"],
)
def test_other_words_are_still_refused(upgraded: Engine, statement: str) -> None:
    with pytest.raises(IntegrityError), writing(upgraded) as connection:
        connection.execute(text(statement))


def test_the_database_lets_nobody_approve_twice(upgraded: Engine) -> None:
    approval = (
        "INSERT INTO approvals VALUES "
        "('p-1', 'ada', 'Ada', '2026-03-02 09:30:00+00:00', '', 1, '1')"
    )
    with writing(upgraded) as connection:
        connection.execute(text(approval))
    with pytest.raises(IntegrityError), writing(upgraded) as connection:
        connection.execute(text(approval))
