"""One executor at a time, by the database's clock, fenced by a number that only rises."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from service.domain.errors import InvariantError, LeaseLostError
from service.store import lease
from service.store.engine import reading, writing

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=60)


def acquire(engine: Engine, holder: str, lifetime: timedelta = LONG) -> lease.Lease | None:
    with writing(engine) as connection:
        return lease.acquire(connection, holder=holder, lifetime=lifetime)


def require(engine: Engine, held: lease.Lease) -> None:
    with writing(engine) as connection:
        lease.require(connection, held)


def test_a_second_contender_waits_while_the_first_holds(engine: Engine) -> None:
    first = acquire(engine, "a")
    assert first is not None
    assert acquire(engine, "b") is None
    require(engine, first)


def test_of_many_contenders_one_wins(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(lambda n: acquire(engine, f"h{n}"), range(8)))
    assert sum(one is not None for one in won) == 1


def test_a_holder_that_paused_longer_than_its_lease_is_fenced(engine: Engine) -> None:
    first = acquire(engine, "a", SHORT)
    assert first is not None
    time.sleep(SHORT.total_seconds() * 1.5)
    second = acquire(engine, "b")
    assert second is not None
    assert second.fence == first.fence + 1
    with pytest.raises(LeaseLostError):
        require(engine, first)
    with pytest.raises(LeaseLostError), writing(engine) as connection:
        lease.renew(connection, first, lifetime=LONG)
    with writing(engine) as connection:
        lease.release(connection, first)  # must not free what is no longer ours
    require(engine, second)


def test_an_expired_lease_is_lost_even_when_nobody_took_it(engine: Engine) -> None:
    first = acquire(engine, "a", SHORT)
    assert first is not None
    time.sleep(SHORT.total_seconds() * 1.5)
    with pytest.raises(LeaseLostError):
        require(engine, first)
    again = acquire(engine, "a")
    assert again is not None
    assert again.fence == first.fence + 1


def test_renewing_keeps_the_fence_and_releasing_frees_at_once(engine: Engine) -> None:
    first = acquire(engine, "a")
    assert first is not None
    with writing(engine) as connection:
        renewed = lease.renew(connection, first, lifetime=LONG)
    assert (renewed.fence, renewed.expires_at > first.expires_at) == (first.fence, True)
    with reading(engine) as connection:
        assert lease.current(connection) == renewed
    with writing(engine) as connection:
        lease.release(connection, renewed)
    with reading(engine) as connection:
        assert lease.current(connection) is None
    successor = acquire(engine, "b")
    assert successor is not None
    assert successor.fence == first.fence + 1


def test_a_forged_fence_is_refused(engine: Engine) -> None:
    first = acquire(engine, "a")
    assert first is not None
    with pytest.raises(LeaseLostError):
        require(engine, replace(first, fence=first.fence + 1))


def test_nobody_takes_the_lease_over_while_a_transaction_relies_on_it(engine: Engine) -> None:
    first = acquire(engine, "a", SHORT)
    assert first is not None
    order = []
    relying = threading.Event()

    def rely() -> None:
        with writing(engine) as connection:
            lease.require(connection, first)
            relying.set()
            time.sleep(SHORT.total_seconds() * 2)  # the lease runs out in here
            order.append("first committed")

    def take_over() -> None:
        relying.wait()
        assert acquire(engine, "b") is not None
        order.append("second acquired")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda act: act(), [rely, take_over]))
    assert order == ["first committed", "second acquired"]


def test_the_clock_is_the_databases_own_and_moves_within_a_transaction(engine: Engine) -> None:
    with reading(engine) as connection:
        before = lease.database_now(connection)
        time.sleep(0.005)
        after = lease.database_now(connection)
    assert before < after
    assert abs(after - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_lease_without_a_lifetime_is_a_contradiction(engine: Engine) -> None:
    with pytest.raises(InvariantError):
        acquire(engine, "a", timedelta(0))
