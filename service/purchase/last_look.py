"""Decides whether a call may still be made: halt switch, ``halt: true`` of the policy, lease.

Asked in the transaction that marks the call, right after it, and by the adapter right before the
one request that spends: adapters read first, and reading may take minutes.
"""

from __future__ import annotations

from sqlalchemy import Connection

from service.domain.errors import LeaseLostError, TenorError
from service.domain.purchases import Refused
from service.purchase.desk import Desk
from service.store import lease
from service.store.engine import reading
from service.store.halt import read_halt


def why_halted(connection: Connection, desk: Desk) -> Refused | None:
    """What stops all buying: the switch, or the policy, or that the policy cannot be read."""
    halt = read_halt(connection)
    if halt.halted:
        return Refused("halt", f"halted by {halt.changed_by} before the call: {halt.reason}")
    try:
        halted = desk.policy_halts()
    except TenorError as error:
        return Refused("policy", f"the policy cannot be read before the call: {error}")
    return Refused("halt", "halted by the policy before the call") if halted else None


class LastLook:
    """Halt and lease as they stand now; asked by the adapter, it keeps what it refused."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.refused: Refused | None = None

    def __call__(self) -> Refused | None:
        """``None`` when the call may be made. Raises nothing for a lease that is lost."""
        with reading(self._desk.engine) as connection:
            self.refused = why_halted(connection, self._desk)
            holds = _holds_lease(connection, self._desk)
        if self.refused is None and not holds:
            detail = f"{self._desk.lease.holder} is no longer the executor, nothing was sent"
            self.refused = Refused("lease", detail)
        return self.refused


def look(desk: Desk) -> Refused | None:
    """Halt as it stands now, after the call was marked. ``LeaseLostError`` when the lease is lost.

    That leaves the call marked: the new holder will make it unknown.
    """
    with reading(desk.engine) as connection:
        halted = why_halted(connection, desk)
        holds = _holds_lease(connection, desk)
    if halted is None and not holds:
        raise LeaseLostError(holder=desk.lease.holder, fence=desk.lease.fence)
    return halted


def _holds_lease(connection: Connection, desk: Desk) -> bool:
    holder = lease.current(connection, desk.lease.name)
    return holder is not None and holder.fence == desk.lease.fence
