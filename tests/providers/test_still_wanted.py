"""Every adapter asks whether a call is still wanted after its last reading, and then sends none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, AlterationOutcome
from service.domain.commitments import Kind
from service.domain.ids import CommitmentId
from service.domain.purchases import Outcome, PurchaseOrder, Refused
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.price_list import Prices
from service.providers.port import ProviderAlterer, ProviderBuyer, StillWanted, always_wanted
from service.sandbox.cloud import SandboxCloud
from service.sandbox.gcp.cloud import GcpSandbox
from tests.providers.aws import orders as aws
from tests.providers.aws.test_nodes import ordered as node_order
from tests.providers.azure.test_alterer import ordered as azure_change
from tests.providers.gcp import test_alterer as gcp_changes
from tests.sandbox import clouds as aws_clouds
from tests.sandbox.azure import clouds as azure
from tests.sandbox.gcp import clouds as gcp

HALTED = Refused("halt", "halted by somebody before the call")
Call = Callable[[StillWanted], Outcome | AlterationOutcome]
Served = Counter[str]
"""How often each operation reached the cloud."""


@dataclass
class Halting:
    """A last look that finds buying halted; it notes what the cloud had been asked by then."""

    served: Served
    asked_before: list[Served] = field(default_factory=list)

    def __call__(self) -> Refused:
        self.asked_before.append(Counter(self.served))
        return HALTED


def buying(buyer: ProviderBuyer, order: PurchaseOrder) -> Call:
    return lambda wanted: buyer.buy(order, still_wanted=wanted)


def altering(alterer: ProviderAlterer, order: AlterationOrder) -> Call:
    return lambda wanted: alterer.alter(order, still_wanted=wanted)


@contextmanager
def at_aws(what: str) -> Iterator[tuple[Served, Call]]:
    small = aws_clouds.database_cloud if what == "nodes" else aws_clouds.small_cloud
    with small() as cloud:
        yield cloud.server.calls, aws_call(cloud, what)


def aws_call(cloud: SandboxCloud, what: str) -> Call:
    buyer, alterer = aws.buyer_of(cloud), aws.alterer_of(cloud)
    start = cloud.world.after_hours(48) if what == "cancel" else None
    plan = aws.plan_order(cloud, aws_clouds.offer(cloud.world), start_at=start)
    if what == "plan":
        return buying(buyer, plan)
    if what == "reservation":
        return buying(buyer, aws.reservation_order(cloud, aws.terms()))
    if what == "nodes":
        return buying(buyer, node_order(cloud, Kind.AWS_RDS_RI))
    if what in {"return", "cancel"}:
        way = AlterationKind.RETURN if what == "return" else AlterationKind.CANCEL_QUEUED
        name = aws.bought(cloud, plan)
        return altering(alterer, aws.alteration(cloud, way, name, of=Kind.AWS_COMPUTE_SP))
    source = aws.bought(cloud, aws.reservation_order(cloud, aws.terms("m5.2xlarge"), 1))
    way = AlterationKind.MODIFY if what == "modify" else AlterationKind.EXCHANGE
    to = replace(aws.target(aws.terms("m5.xlarge")), quantity=Decimal(2))
    order = aws.alteration(cloud, way, source, targets=(to,), most_to_pay_usd="50000")
    quoted = alterer.quote_alteration(order)
    return altering(alterer, replace(order, targets=quoted.targets or order.targets))


@contextmanager
def at_azure(what: str) -> Iterator[tuple[Served, Call]]:
    with azure.small_cloud() as cloud:
        buyer, alterer = azure.buyer(cloud), azure.alterer(cloud)
        if what == "plan":
            call = buying(buyer, azure.plan_order(cloud))
        elif what == "reservation":
            call = buying(buyer, azure.quoted(cloud, azure.order(cloud)))
        elif what == "plan renewal":
            buyer.buy(azure.plan_order(cloud))
            (item,) = azure.reader(cloud).inventory()
            name, payer = item.commitment.commitment, cloud.world.payer
            renewal = azure.alteration(
                AlterationKind.SET_RENEWAL,
                (CommitmentId(name),),
                account=payer,
                renew=True,
                of=Kind.AZURE_SAVINGS_PLAN,
            )
            call = altering(alterer, renewal)
        else:
            call = altering(alterer, azure_change(cloud, AlterationKind(what)))
        yield cloud.server.calls, call


@contextmanager
def at_gcp(what: str) -> Iterator[tuple[Served, Call]]:
    with gcp.small_cloud() as cloud:
        buyer = gcp.buyer_of(cloud)
        if what in {"resource", "flexible"}:
            order = gcp.vcpus() if what == "resource" else gcp.dollars()
            yield cloud.server.calls, buying(buyer, order)
            return
        for owned in (gcp.vcpus("100"), gcp.vcpus("60", intent="second")):
            buyer.buy(owned)
        cloud.advance(30)
        alterer = GcpAlterer(
            cloud.clients(), Prices(cloud.clients(), cloud.clock), clock=cloud.clock
        )
        changes: dict[str, Callable[[GcpSandbox], AlterationOrder]] = {
            "merge": gcp_changes.merge,
            "split": gcp_changes.split,
            "set_renewal": lambda at: gcp_changes.order(
                at, AlterationKind.SET_RENEWAL, "second", renew=True
            ),
            "upgrade_term": lambda at: gcp_changes.order(at, AlterationKind.UPGRADE_TERM, "second"),
        }
        yield cloud.server.calls, altering(alterer, changes[what](cloud))


AZURE_CHANGES = ("exchange", "return", "split", "merge", "set_renewal", "plan renewal")
CASES = [
    *((at_aws, one) for one in ("plan", "reservation", "nodes")),
    *((at_aws, one) for one in ("return", "cancel", "exchange", "modify")),
    *((at_azure, one) for one in ("plan", "reservation", *AZURE_CHANGES)),
    *((at_gcp, one) for one in ("resource", "flexible")),
    *((at_gcp, one) for one in ("merge", "split", "set_renewal", "upgrade_term")),
]


@pytest.mark.parametrize(("cloud", "what"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_halt_during_the_adapters_reading_is_seen_before_anything_is_sent(
    cloud: Callable[[str], AbstractContextManager[tuple[Served, Call]]],
    what: str,
) -> None:
    with cloud(what) as (served, call):
        halting, start = Halting(served), Counter(served)
        assert call(halting) == HALTED
        # Asked once, and nothing at all was asked of the cloud after that.
        assert halting.asked_before == [served]
        # The control: wanted still, something is sent that was none of the reading.
        read, before = set(served - start), Counter(served)
        call(always_wanted)
        assert set(served - before) - read
