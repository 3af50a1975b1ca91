"""One commitment that was bought and listed, and everything to alter it with."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from service.domain.commitments import CommitmentState
from service.domain.ids import CommitmentId
from service.domain.purchases import Bought
from service.purchase.desk import Desk, Executed
from service.purchase.execute import execute
from service.store import holdings
from service.store.engine import reading
from tests.purchase.altering import Alterer, read_inventory
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    kinds,
    make_line,
    open_desk,
    store_plan,
    take_lease,
)


class Shop:
    """One commitment bought and listed, and everything to alter it with."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.clock = HandClock()
        self.cloud = FileCloud(folder / "cloud.db", self.clock)
        self.alterer = Alterer(self.cloud, self.clock)
        store_plan(engine, make_line(1), make_line(2))
        self.desk: Desk = open_desk(engine, self.cloud, take_lease(engine, "a"), self.clock)
        bought = execute(self.desk, line=make_line(1), plan=PLAN, cycle=CYCLE)
        assert isinstance(bought, Executed)
        assert isinstance(bought.outcome, Bought)
        self.owned: CommitmentId = bought.outcome.commitment
        self.read()

    def read(self) -> None:
        read_inventory(self.desk, self.cloud)

    def listed(self) -> dict[str, CommitmentState]:
        with reading(self.engine) as connection:
            items = holdings.inventory(connection)
        return {item.commitment.commitment: item.commitment.state for item in items}

    def drifts(self) -> int:
        return kinds(self.engine).count("reconcile.drift")
