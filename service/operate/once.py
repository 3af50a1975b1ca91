"""One decision cycle on demand: what ``tenor cycle`` does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from service.domain.errors import LeaseLostError, RefusedError, TenorError
from service.domain.hours import iso
from service.domain.ids import CycleId
from service.observe.log import get_logger
from service.operate.alerting import tell
from service.operate.event_log import EventLog
from service.operate.ingesting import ingest
from service.operate.settling import tie_loose_ends
from service.pipeline import Cycle, CycleResult, run_cycle
from service.store import due
from service.store import lease as leases
from service.store.asked import schedule_of
from service.store.engine import reading, writing
from service.store.states import RunState
from service.wiring import Parts

log = get_logger(__name__)


def cycle_now(parts: Parts, *, at: datetime) -> dict[str, object]:
    """Ingest, tie loose ends and decide once for the cloud of ``parts``; returns what came of it.

    ``at`` names the run: clouds that are decided for together are given one instant, and share
    the caps of one run.

    Raises ``RefusedError`` while another process is the executor: two must never decide at once.
    """
    with writing(parts.engine) as connection:
        lease = leases.acquire(connection, holder=parts.holder, lifetime=parts.lease_lifetime)
    if lease is None:
        with reading(parts.engine) as connection:
            other = leases.current(connection)
        holder = "another process" if other is None else other.holder
        raise RefusedError(rule="lease", detail=f"{holder} is the executor now")
    told = EventLog(parts.engine)
    try:
        with kept_alive(parts, lease):
            cycle, result = _run(parts, lease, at)
    except Exception:
        _tell_of_failure(parts)
        raise
    else:
        tell(parts)
    finally:
        told.tell()
        _release(parts, lease)
    acted = result.acted
    return {
        "cycle": cycle.cycle,
        "plan": result.plan.plan,
        "status": result.plan.status.value,
        "lines": len(result.plan.lines),
        "bought": acted.bought,
        "proposed": acted.proposed,
        "refused": acted.refused,
        "declined": acted.declined,
        "unknown": acted.unknown,
    }


def _tell_of_failure(parts: Parts) -> None:
    """Raise and send what is due; what keeps it from that hides nothing of why the cycle failed."""
    try:
        tell(parts)
    except (TenorError, SQLAlchemyError) as error:
        log.warning("alerts.not_told", error=type(error).__name__, detail=str(error))


def look_first(parts: Parts, *, lease: leases.Lease) -> None:
    """Bring usage and inventory up to date, as a cycle that does not wait for its hour needs."""
    if parts.cloud.exports is not None or parts.settings.exports.exists():
        ingest(parts, provider=parts.cloud.provider)
    tie_loose_ends(parts, lease=lease)


def _run(parts: Parts, lease: leases.Lease, at: datetime) -> tuple[Cycle, CycleResult]:
    look_first(parts, lease=lease)
    with writing(parts.engine) as connection:
        schedule = schedule_of(parts.cloud.provider)
        now = parts.clock.now()
        run = due.claim(connection, schedule=schedule, due_at=at, lease=lease, now=now)
    if run is None:
        raise RefusedError(rule="cycle", detail=f"the cycle of {iso(at)} has run already")
    cycle = Cycle(CycleId(run.run), schedule, at)
    state, detail = RunState.FAILED, "stopped before its end"
    try:
        result = run_cycle(parts, cycle, lease=lease)
        state, detail = RunState.DONE, ""
    finally:
        with suppress(LeaseLostError), writing(parts.engine) as connection:
            now = parts.clock.now()
            due.finish(connection, run, state=state, lease=lease, now=now, detail=detail)
    return cycle, result


@contextmanager
def kept_alive(parts: Parts, lease: leases.Lease) -> Iterator[None]:
    """Renew ``lease`` beside long work, until it is lost: then the work finds out by itself."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(parts.settings.lease_seconds / 4):
            try:
                with writing(parts.engine) as connection:
                    leases.renew(connection, lease, lifetime=parts.lease_lifetime)
            except LeaseLostError:
                return
            except SQLAlchemyError as error:
                log.warning("heartbeat.failed", error=type(error).__name__)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _release(parts: Parts, lease: leases.Lease) -> None:
    try:
        with writing(parts.engine) as connection:
            leases.release(connection, lease)
    except LeaseLostError:
        return
