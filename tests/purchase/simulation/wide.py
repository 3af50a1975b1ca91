"""A year of one deployment with three clouds under one policy, in which one ceiling binds.

As in a year of one cloud, and beside that: runs that ask for something in every cloud at the same
instant, with nothing read in between; cash at once; purchases that are queued to start days later;
people who buy at a console; a ceiling of any kind that the policy has, raised month by month.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.ids import ClientToken, CommitmentId, CycleId, IntentId, PlanId
from service.domain.plans import Decision, PlanLine
from service.domain.purchases import ProposalState, PurchaseOrder
from service.guard.starts import start_now
from service.purchase.desk import Desk
from service.purchase.execute import execute, execute_proposal
from service.purchase.propose import record_proposals
from service.store import proposals, records
from service.store.engine import reading, writing
from tests.purchase.simulation.ceilings import CEILINGS, Sale
from tests.purchase.simulation.clouds import Mishap, Owned, SimCloud
from tests.purchase.simulation.guarding import Guard, line_of
from tests.purchase.simulation.life import DAYS, Life
from tests.purchase.simulation.person import settle_held
from tests.purchase.world import make_plan, verdict

DELAYS = "{name: queued, match: {providers: [aws]}, mode: autopilot, purchase_delay_hours: 96}"
MONTH = timedelta(days=30)


class WideLife(Life):
    """A year of three clouds. The one whose turn it is is ``cloud``, its till ``desk``."""

    def __init__(self, engine: Engine, clouds: Sequence[SimCloud], seed: int) -> None:
        self.clouds = tuple(clouds)
        self.desks: dict[str, Desk] = {}
        self.ceiling = CEILINGS[seed % len(CEILINGS)]
        self.queues = bool(seed // len(CEILINGS) % 2)
        self.began = clouds[0].now()
        self.month = 0
        self.runs = self.numbered = self.strangers = 0
        self.minted: dict[str, datetime] = {}
        self.run_of: dict[PlanId, datetime] = {}
        self.cycle_of: dict[PlanId, CycleId] = {}
        self.run = self.began
        self.sales: list[Sale] = []
        self.unread: set[CommitmentId] = set()
        super().__init__(engine, clouds[0], seed)
        for cloud in clouds:
            cloud.with_cash()
            cloud.on_sale = self._watcher(cloud)
            cloud.on_change = self.changed
        self.raise_ceiling()
        self.adopt()

    def _watcher(self, cloud: SimCloud) -> Callable[[PurchaseOrder, CommitmentId], None]:
        return lambda order, name: self.sold(cloud, order, name)

    # Whose turn it is.

    def turn_to(self, cloud: SimCloud) -> None:
        self.cloud = self.guard.cloud = cloud
        self.desk = self.desks[cloud.provider]

    def adopt(self) -> None:
        """One process has the lease, and a till at every cloud."""
        first = self.start_process()
        self.desks = {
            cloud.provider: replace(
                first,
                provider=cloud.provider,
                reader=cloud,
                buyer=cloud,
                clock=cloud.clock,
                start_at=lambda line, now: start_now(self.guard.policy, line, now),
                policy_digest=lambda: self.guard.policy.digest,
            )
            for cloud in self.clouds
        }
        self.turn_to(self.cloud)

    def make_guard(self) -> Guard:
        return Guard(self.ceiling.policy(self.clouds, 0, self.delays), self.cloud)

    @property
    def delays(self) -> str:
        return DELAYS if self.queues else ""

    def new_key(self) -> str:
        key = super().new_key()
        self.minted[key] = self.run
        return key

    # What happens.

    def raise_ceiling(self) -> None:
        """People allow more each month."""
        self.month = (self.cloud.now() - self.began) // MONTH
        self.guard.policy = self.ceiling.policy(self.clouds, self.month, self.delays)

    def new_plan(self) -> None:
        """A run: plans of every cloud, due at the same instant, and bought one after the other."""
        if self.cloud.now() in self.run_of.values():
            return  # one run is due at an instant
        self.runs += 1
        self.run = self.cloud.now()
        asked = []
        for cloud in self.random.sample(self.clouds, len(self.clouds)):
            self.turn_to(cloud)
            asked += [(cloud, *line) for line in self._planned(cloud)]
        for cloud, plan, line in asked:
            self.turn_to(cloud)
            self.let_mishap()
            self.do(lambda plan=plan, line=line: self._execute(plan, line))  # type: ignore[misc]

    def _planned(self, cloud: SimCloud) -> list[tuple[PlanId, PlanLine]]:
        """One cloud's plan of this run; its first line may wait for a person."""
        plan = PlanId(f"plan-{self.runs}-{cloud.provider}")
        cycle = CycleId(f"cycle-{self.runs}-{cloud.provider}")
        lines = []
        for _ in range(self.random.choice([1, 1, 2])):
            self.numbered += 1
            lines.append(self.make_line(self.numbered))
        made = replace(make_plan(*lines, plan=plan, cycle=cycle), decided_at=self.run)
        waiting = lines[:1] if self.random.random() < 0.3 else []
        with writing(self.engine) as connection:
            records.start_cycle(
                connection, cycle, schedule=cloud.provider, due_at=self.run, now=self.run
            )
            records.record_plan(connection, made)
            record_proposals(
                connection,
                plan=plan,
                lines=waiting,
                verdicts=[verdict(line, Decision.NEEDS_SIGN_OFF) for line in waiting],
                lifetime=timedelta(days=10),
                now=self.run,
            )
        self.run_of[plan], self.cycle_of[plan] = self.run, cycle
        asked = [(plan, line) for line in lines if line not in waiting]
        self.lines += asked
        return asked

    def make_line(self, number: int) -> PlanLine:
        wares = self.cloud.wares
        if self.ceiling.cash and self.random.random() < 0.6:
            wares = tuple(one for one in wares if one.upfront_usd) or wares
        ware = self.random.choice(wares)
        quantity = Decimal(1) if ware.kind.is_spend else Decimal(2)
        return line_of(self.cloud, ware, number, quantity)

    def _execute(self, plan: PlanId, line: PlanLine) -> None:
        self.run = self.run_of[plan]
        execute(self.desk, line=line, plan=plan, cycle=self.cycle_of[plan])

    def buy(self) -> None:
        """A line of a recent run, again, as a confused caller might."""
        recent = [one for one in self.lines[-9:] if one[1].provider == self.cloud.provider]
        if recent:
            self._execute(*self.random.choice(recent))

    def buy_approved(self) -> None:
        with reading(self.engine) as connection:
            approved = proposals.list_proposals(connection, states=(ProposalState.APPROVED,))
        for one in approved:
            if one.line.provider == self.cloud.provider:
                self.run = self.run_of[one.plan]
                execute_proposal(self.desk, one.proposal)

    def at_console(self) -> None:
        """Somebody else buys; Tenor knows of it once it has read the inventory."""
        self.strangers += 1
        ware = next(one for one in self.cloud.wares if one.kind.is_spend)
        order = PurchaseOrder(
            intent=IntentId(f"stranger-{self.strangers}"),
            token=ClientToken(f"console-{self.strangers}"),
            account=self.cloud.account,
            offering=ware.offering,
            kind=ware.kind,
            term_months=12,
            payment=ware.payment,
            quantity=Decimal("0.5"),
            upfront_usd=Decimal(0),
        )
        self.unread.add(self.cloud.at_console(order))

    def read(self) -> None:
        super().read()
        self.unread -= set(self.cloud.owned())

    # How time passes.

    def let_mishap(self) -> None:
        for cloud in self.clouds:
            unlucky = self.faulty and self.random.random() < 0.6
            cloud.mishap = self.random.choice(list(Mishap)) if unlucky else Mishap.NONE
            cloud.lag_hours = self.random.choice([0.2, 1.0, 1.5])

    def live(self, days: int = DAYS) -> None:
        left = (days - 3) * 24
        while left > 0:
            self.raise_ceiling()
            self.turn()
            step = min(self.random.choice([1, 1, 20, 240, 720]), left)
            self.advance(step)
            left -= step
            self.watch()
        self.rest()
        for cloud in self.clouds:
            self.turn_to(cloud)
            self.check()

    def advance(self, hours: float) -> None:
        for cloud in self.clouds:
            cloud.advance(hours)

    def turn(self) -> None:
        acts: list[Callable[[], object]] = [
            self.new_plan,
            self.new_plan,
            self.approve,
            self.buy,
            self.buy_approved,
            self.alter,
            self.alter_and_buy,
            self.tidy_up,
            self.tidy_up_everywhere,
            self.tidy_up_everywhere,
            self.at_console,
        ]
        self.lend_trust()
        self.let_mishap()
        for act in self.random.choices(acts, k=self.random.choice([1, 2])):
            self.turn_to(self.random.choice(self.clouds))
            self.do(act)

    def do(self, act: Callable[[], object]) -> None:
        before = self.holders
        super().do(act)
        if self.holders != before:
            self.adopt()

    def rest(self) -> None:
        self.faulty = False
        self.let_mishap()
        self.set_halt(halted=False)
        self.adopt()
        for _ in range(4):
            self.tidy_up_everywhere()
            self.advance(3)
        self.by_hand += sum(settle_held(self.engine, cloud) for cloud in self.clouds)
        self.tidy_up_everywhere()

    def tidy_up_everywhere(self) -> None:
        for cloud in self.clouds:
            self.turn_to(cloud)
            self.tidy_up()

    # What independent checkers see, whenever something is sold.

    def sold(self, cloud: SimCloud, order: PurchaseOrder, name: CommitmentId) -> None:
        run = self.minted[order.intent]
        owned = self.owned()
        sale = Sale(cloud.provider, cloud.now(), run, owned[cloud.provider][name])
        self.sales.append(sale)
        found = self.ceiling.problem(self.month, sale, self.sales, owned)
        if found is not None:
            self.problem(found)

    def changed(self, order: AlterationOrder) -> None:
        """What an exchange made obliges by the hour; its cash is what its source was worth."""
        ceiling = self.ceiling
        if order.alteration is not AlterationKind.EXCHANGE:
            return  # nothing more is owned for it
        if (
            ceiling.span == "total"
            and not ceiling.cash
            and self.cloud.provider in ceiling.providers
        ):
            found = ceiling.exceeded(self.month, ceiling.all_of(self.owned()))
            if found is not None:
                self.problem(found)

    def owned(self) -> dict[str, dict[CommitmentId, Owned]]:
        """What every cloud's books say is owned, but for what Tenor cannot have read yet."""
        return {
            cloud.provider: {
                name: one for name, one in cloud.owned().items() if name not in self.unread
            }
            for cloud in self.clouds
        }

    def watch(self) -> None:
        for cloud in self.clouds:
            if cloud.world.double_purchases():
                self.problem("one intent was bought twice")
