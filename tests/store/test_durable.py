"""A commit is on disk before it is answered: an intent that a power cut can lose is none."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from service.store.engine import open_engine, reading, writing


@pytest.mark.postgres
def test_a_server_that_answers_before_it_writes_is_told_to_write_first(
    postgres_database_url: str,
) -> None:
    first = open_engine(postgres_database_url)
    try:
        with writing(first) as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    finally:
        first.dispose()
    again = open_engine(postgres_database_url)
    try:
        assert commits(again, "SHOW synchronous_commit") == "on"
    finally:
        again.dispose()


def test_sqlite_writes_every_commit_out(sqlite_engine: Engine) -> None:
    full = 2
    assert commits(sqlite_engine, "PRAGMA synchronous") == full


def commits(engine: Engine, question: str) -> object:
    with reading(engine) as connection:
        answer: object = connection.exec_driver_sql(question).scalar_one()
    return answer
