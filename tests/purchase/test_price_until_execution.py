"""A yes to an exchange or a longer term is a yes to its price by the hour, in every cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    AlterationState,
    Altered,
    Target,
)
from service.domain.commitments import Kind, Payment
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId, OfferingId
from service.domain.purchases import Bought
from service.providers.aws import reservations
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.price_list import Prices
from service.providers.port import ProviderAlterer, ProviderReader
from service.purchase.alter import AlterationDone, Bench, alter
from service.purchase.desk import Declined
from service.purchase.still_as_asked import moved
from service.purchase.written_alterations import approve_alteration, ask
from service.store import alterations
from service.store.alteration_tables import alterations as table
from service.store.codec import from_document
from service.store.engine import reading, writing
from tests.providers.aws import orders as on_aws
from tests.purchase.altering import make_order, open_bench, target, yes
from tests.purchase.shop import Shop
from tests.purchase.world import START
from tests.sandbox import clouds as aws
from tests.sandbox.azure import clouds as azure
from tests.sandbox.gcp import clouds as gcp


@dataclass
class Place:
    """What is altered in a cloud, and the way to make what it becomes dearer."""

    provider: str
    reader: ProviderReader
    alterer: ProviderAlterer
    order: AlterationOrder
    reprice: Callable[[Decimal], None]


@contextmanager
def on_aws_convertible() -> Iterator[Place]:
    with aws.small_cloud() as cloud:
        source = on_aws.bought(cloud, on_aws.reservation_order(cloud, on_aws.terms(), 20))
        made = on_aws.terms("r5.large")
        theirs = OfferingId(reservations.price(cloud.clients(), made).provider_offering)
        yield Place(
            "aws",
            on_aws.reader_of(cloud),
            on_aws.alterer_of(cloud),
            on_aws.alteration(
                cloud, AlterationKind.EXCHANGE, source, targets=(on_aws.target(made),)
            ),
            lambda factor: cloud.world.change_price(theirs, factor),
        )


@contextmanager
def on_azure_exchange() -> Iterator[Place]:
    with azure.small_cloud() as cloud:
        source = azure.owned(cloud, azure.reservation_id(payment=Payment.NO_UPFRONT))
        made = azure.reservation_id("Standard_E8s_v5", payment=Payment.NO_UPFRONT)
        yield Place(
            "azure",
            azure.reader(cloud),
            azure.alterer(cloud),
            azure.alteration(
                AlterationKind.EXCHANGE,
                (source,),
                azure.target(6, made, Payment.NO_UPFRONT),
                account=cloud.world.payer,
                most_to_pay_usd="100000",
            ),
            lambda factor: cloud.world.change_price("eastus", "Standard_E8s_v5", factor),
        )


@contextmanager
def on_google_longer_term() -> Iterator[Place]:
    with gcp.small_cloud() as cloud:
        assert isinstance(gcp.buyer_of(cloud).buy(gcp.vcpus("100")), Bought)
        cloud.advance(30)
        (item,) = gcp.reader_of(cloud).inventory()
        yield Place(
            "gcp",
            gcp.reader_of(cloud),
            GcpAlterer(cloud.clients(), Prices(cloud.clients(), cloud.clock), clock=cloud.clock),
            AlterationOrder(
                intent=IntentId("alter-1"),
                token=ClientToken("token of alter-1"),
                alteration=AlterationKind.UPGRADE_TERM,
                account=AccountId("acme-commitments"),
                kind=Kind.GCP_RESOURCE_CUD,
                sources=(item.commitment.commitment,),
                targets=(Target(None, Decimal(100), None, 36, Payment.NO_UPFRONT),),
                most_to_pay_usd=Decimal(0),
            ),
            lambda factor: cloud.world.change_price("us-central1", "n2", factor),
        )


@pytest.fixture
def shop(sqlite_engine: Engine, tmp_path: Path) -> Shop:
    return Shop(sqlite_engine, tmp_path)


def approved(engine: Engine, place: Place, name: str) -> AlterationOrder:
    """Asked for as it is quoted now, and said yes to."""
    quote = place.alterer.quote_alteration(place.order)
    assert quote.allowed, quote.detail
    assert quote.usd_per_hour is not None
    order = replace(
        place.order,
        intent=IntentId(name),
        token=ClientToken(name),
        targets=quote.targets,
        # Cash has a bound of its own; it is not what stops it here.
        most_to_pay_usd=quote.pay_usd * 2,
    )
    with writing(engine) as connection:
        asked = ask(
            connection,
            order,
            provider=place.provider,
            run="run",
            reason="exchange: it pays",
            expires_at=START + timedelta(days=3),
            now=START,
            quoted_usd_per_hour=quote.usd_per_hour,
        )
    assert asked is not None
    say_yes(engine, order)
    return order


def say_yes(engine: Engine, order: AlterationOrder) -> None:
    with writing(engine) as connection:
        refused = approve_alteration(
            connection, order.intent, version=1, by="ana", comment="", now=START
        )
    assert refused is None


def found(engine: Engine, order: AlterationOrder) -> Alteration:
    with reading(engine) as connection:
        one = alterations.find(connection, order.intent)
    assert one is not None
    return one


@pytest.mark.parametrize("cloud", [on_aws_convertible, on_azure_exchange, on_google_longer_term])
def test_what_became_dearer_after_the_yes_is_withdrawn_and_may_be_asked_for_anew(
    shop: Shop, cloud: Callable[[], AbstractContextManager[Place]]
) -> None:
    with cloud() as place:
        first = approved(shop.engine, place, "first")
        bench = Bench(
            desk=replace(shop.desk, provider=place.provider, reader=place.reader),
            alterer=place.alterer,
            judge=yes,
            inventory_read_at=START,
        )
        place.reprice(Decimal("1.25"))
        declined = alter(bench, first.intent)
        assert isinstance(declined, Declined)
        assert (declined.rule, declined.final) == ("price_moved", True)
        assert "USD an hour is quoted now" in declined.detail
        assert found(shop.engine, first).state is AlterationState.WITHDRAWN

        # At what it costs now it is done, with the yes to that; so it is where nothing moved.
        done = alter(bench, approved(shop.engine, place, "second").intent)
        assert isinstance(done, AlterationDone)
        assert isinstance(done.outcome, Altered)


@pytest.mark.parametrize(
    ("usd", "quantity", "rule"),
    [
        ("0.5", "1", None),
        ("0.4", "1", None),
        ("0.5005", "1", None),  # a thousandth, as with a purchase
        ("0.50051", "1", "price_moved"),
        ("0.25", "0.5", None),  # fewer, each at its price
        ("0.5", "0.5", "price_moved"),  # as much altogether, for half as many
        ("0.5", "", None),  # what it gives is not told, so it is what was asked for
        ("NaN", "1", "wrong_quote"),
        ("-1", "1", "wrong_quote"),
        (None, "1", "no_quote"),
    ],
)
@pytest.mark.parametrize("kind", [AlterationKind.EXCHANGE, AlterationKind.UPGRADE_TERM])
def test_a_price_by_the_hour_may_rise_as_little_as_a_purchases(
    kind: AlterationKind, usd: str | None, quantity: str, rule: str | None
) -> None:
    order = make_order(CommitmentId("ri-1"), kind=kind, targets=(target(),), most="1000")
    quote = AlterationQuote(
        allowed=True,
        detail="",
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        source_value_usd=Decimal(100),
        target_value_usd=Decimal(100),
        targets=(target(quantity=quantity),) if quantity else (),
        reference=None,
        quoted_at=START,
        usd_per_hour=None if usd is None else Decimal(usd),
    )
    asked = written(order, AlterationState.APPROVED, Decimal("0.5"))
    declined = moved(asked, quote, tolerance_ratio=Decimal("0.001"))
    assert (None if declined is None else declined.rule) == rule
    # A price may be told again; a dearer one is asked for anew.
    assert declined is None or declined.final is (rule != "no_quote")
    before = written(order, AlterationState.APPROVED, None)
    assert moved(before, quote, tolerance_ratio=Decimal("0.001")) is None


def written(order: AlterationOrder, state: AlterationState, usd: Decimal | None) -> Alteration:
    return Alteration(
        order=order,
        provider="aws",
        state=state,
        run="run",
        version=2,
        fence=0,
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        asked_at=START,
        expires_at=START + timedelta(days=3),
        recorded_at=None,
        called_at=None,
        updated_at=START,
        decided_by="ana",
        reason="exchange: it pays",
        detail="",
        made=(),
        quoted_usd_per_hour=usd,
    )


def asked_at(shop: Shop, order: AlterationOrder, usd: Decimal | None) -> None:
    with writing(shop.engine) as connection:
        ask(
            connection,
            order,
            provider="aws",
            run="run",
            reason="exchange: it pays",
            expires_at=START + timedelta(days=3),
            now=START,
            quoted_usd_per_hour=usd,
        )
    say_yes(shop.engine, order)


def test_a_replica_that_does_not_know_the_price_reads_the_order_and_one_without_it_is_read(
    shop: Shop,
) -> None:
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),), most="1000")
    asked_at(shop, order, Decimal("0.0625"))
    with reading(shop.engine) as connection:
        document, made = connection.execute(select(table.c.document, table.c.made)).one()
    assert from_document(AlterationOrder, document) == order
    assert "quoted_usd_per_hour" not in document
    assert made["quoted_usd_per_hour"] == "0.0625"
    with writing(shop.engine) as connection:
        older = {name: one for name, one in made.items() if name != "quoted_usd_per_hour"}
        connection.execute(table.update().values(made=older))
    assert found(shop.engine, order).quoted_usd_per_hour is None
    assert isinstance(alter(open_bench(shop.desk, shop.alterer), order.intent), AlterationDone)
