"""The support table says of Google Cloud what was seen in the sandbox, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from service.domain.alterations import AlterationKind, AlterationOrder, Target
from service.domain.commitments import Kind, Offering
from service.domain.ids import AccountId, ClientToken, IntentId
from service.domain.purchases import Bought, InventoryItem, Refused
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.price_list import Prices
from service.providers.gcp.words import gcp_tables
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import buyer_of, dollars, machines, reader_of, small_cloud, vcpus
from tests.sandbox.gcp.raw import insert_raw
from tests.support import products, require_named_tests

NEVER = {
    "GPU, local SSD and licence commitments": ("no", "no", "no", "no"),
    "Spend commitments of other services (Cloud SQL, Spanner, BigQuery, …)": ("no",) * 4,
}


def test_the_table_is_what_the_sandbox_shows() -> None:
    with small_cloud() as cloud:
        assert products("Google Cloud") == {**seen(cloud), **NEVER}


def test_every_test_that_the_table_names_is_there() -> None:
    require_named_tests("Google Cloud")


def seen(cloud: GcpSandbox) -> dict[str, tuple[str, str, str, str]]:
    """One of each kind and term, bought, read and asked about; one of another series is there."""
    sold = gcp_tables().sold_types
    others = {family: word for word, family in gcp_tables().families.items()}
    rest = sorted({one.partition("-")[0] for one in others if one not in sold})
    offers = list(reader_of(cloud).offerings(sorted({o.key for o in cloud.world.usage.lines})))
    buyer = buyer_of(cloud)
    bought = [
        buyer.buy(machines("8", "32", intent="one")),
        buyer.buy(machines("8", "32", intent="another")),
        buyer.buy(machines("8", "32", intent="three", offering="gcp_cud/us-central1/n2/vcpu/3")),
        buyer.buy(dollars("2", intent="flexible-one")),
        buyer.buy(dollars("2", intent="flexible-three", offering="gcp_flexible/3")),
    ]
    refused = [
        buyer.buy(vcpus("8", intent=one, offering=f"gcp_cud/us-central1/{one}/vcpu/1"))
        for one in others
        if one not in sold
    ]
    alone = buyer.buy(vcpus("8", intent="alone", offering="gcp_cud/us-central1/n2/ram/1"))
    bought_by_others(cloud, others["x4-960-16t"])
    cloud.advance(48)
    items = list(reader_of(cloud).inventory())
    flexible = [one for one in items if one.kind.is_spend]
    resources = [one for one in items if not one.kind.is_spend]
    other = [one for one in resources if one.family != "n2"]
    ours = [one for one in resources if one.family == "n2"]
    memory = [one for one in ours if one.commitment.commitment.endswith("/memory")]
    cores = [one for one in ours if one not in memory]
    assert all(isinstance(one, Bought) for one in bought)
    assert not undone(cloud, memory)
    moved = "with its vCPUs"
    return {
        f"Resource commitment, vCPUs: {', '.join(sorted(one.upper() for one in sold))}": (
            "yes" if len(cores) == 3 else "no",
            proposed(offers, Kind.GCP_RESOURCE_CUD),
            "yes",
            undone(cloud, cores),
        ),
        "Resource commitment, memory of the same series": (
            "yes" if len(memory) == 3 else "no",
            f"yes, {moved}" if any(one.beside is not None for one in offers) else "no",
            f"yes, {moved}" if isinstance(alone, Refused) else "yes",
            moved,
        ),
        f"Resource commitment of another series ({', '.join(one.upper() for one in rest)})": (
            "yes, at the dearest rate where none is listed" if len(other) == 4 else "no",
            "yes" if {one.family for one in offers} & set(others) - set(sold) else "no",
            "no" if all(isinstance(one, Refused) for one in refused) else "yes",
            undone(cloud, other),
        ),
        "Compute flexible commitment": (
            "yes" if len(flexible) == 2 else "no",
            proposed(offers, Kind.GCP_FLEXIBLE_CUD),
            "yes",
            undone(cloud, flexible) or "no",
        ),
    }


def bought_by_others(cloud: GcpSandbox, commitment_type: str) -> None:
    """Two commitments of ``commitment_type``, which Tenor does not buy."""
    for name in ("theirs", "theirs-too"):
        assert insert_raw(cloud, name=name, vcpus=8, memory_mb=8_192) == 200
    for record in cloud.world.commitments.records.values():
        if record.name.startswith("theirs"):
            record.commitment_type = commitment_type


def proposed(offers: Iterable[Offering], kind: Kind) -> str:
    terms = sorted({one.term_months // 12 for one in offers if one.kind is kind})
    return f"yes, {' and '.join(map(str, terms))} years"


def undone(cloud: GcpSandbox, items: Iterable[InventoryItem]) -> str:
    """What is said to be possible with any of ``items``, each asked for a quote that allows it."""
    clients = cloud.clients()
    alterer = GcpAlterer(clients, Prices(clients, cloud.clock), clock=cloud.clock)
    found: set[AlterationKind] = set()
    owned = list(items)
    for item in owned:
        for way in alterer.ways(item, cloud.clock.now()) - found:
            order = altered(way, item, owned)
            if order is not None:
                assert alterer.quote_alteration(order).allowed, (way, item)
                found.add(way)
    return ", ".join(sorted(found))


def altered(
    way: AlterationKind, item: InventoryItem, items: list[InventoryItem]
) -> AlterationOrder | None:
    """An order to do ``way``; merging needs another of the same kind."""
    whole, term = item.commitment.quantity, item.term_months
    alike = [
        one
        for one in items
        if (one.family, one.term_months, one.region) == (item.family, term, item.region)
        and "/memory" not in one.commitment.commitment
    ]
    sources, targets = [item], []
    if way is AlterationKind.MERGE:
        if len(alike) == 1:
            return None
        sources = alike
        targets = [sum((one.commitment.quantity for one in alike), Decimal(0))]
    if way is AlterationKind.SPLIT:
        targets = [whole - 1]
    return AlterationOrder(
        intent=IntentId(f"alter-{way}"),
        token=ClientToken("t"),
        alteration=way,
        account=AccountId("acme-commitments"),
        kind=item.kind,
        sources=tuple(one.commitment.commitment for one in sources),
        targets=tuple(Target(None, one, None, term, item.payment) for one in targets),
        most_to_pay_usd=Decimal(0),
        renew=False if way is AlterationKind.SET_RENEWAL else None,
    )
