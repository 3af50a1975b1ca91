"""Each kind of alteration is proven by its own effect, and by no other change of its source."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationState,
    Target,
)
from service.domain.commitments import CommitmentState, Kind
from service.domain.hours import Waiting
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.purchases import InventoryItem
from service.reconcile.altered import Reading, explain, fingerprint, is_listed, match_alterations
from service.reconcile.findings import SettledAltered, SettledNotAltered
from tests.purchase.cloud import ACCOUNT, PROVIDER
from tests.purchase.world import START
from tests.reconcile.listing import listed

SOURCE = listed(1)
LATER = START + timedelta(hours=2)


def unknown(kind: AlterationKind, *, renew: bool | None = None) -> Alteration:
    return Alteration(
        order=AlterationOrder(
            intent=IntentId("alteration"),
            token=ClientToken("key"),
            alteration=kind,
            account=ACCOUNT,
            kind=Kind.AWS_COMPUTE_SP,
            sources=(SOURCE.commitment.commitment,),
            targets=(),
            most_to_pay_usd=Decimal(0),
            renew=renew,
        ),
        provider=PROVIDER,
        state=AlterationState.UNKNOWN,
        run="run",
        version=1,
        fence=1,
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        asked_at=START,
        expires_at=LATER,
        recorded_at=START,
        called_at=START,
        updated_at=START,
        decided_by=None,
        reason="",
        detail="",
        made=(),
    )


def reading(*items: InventoryItem, read_at: datetime = LATER) -> Reading:
    found = {item.commitment.commitment: item for item in items}
    return Reading(found, {}, ACCOUNT, Waiting(read_at, read_at, timedelta(hours=1)))


def changed(**fields: object) -> InventoryItem:
    return replace(SOURCE, commitment=replace(SOURCE.commitment, **fields))  # type: ignore[arg-type]


RENEWED = replace(SOURCE, renews=True)
LONGER = replace(changed(end=SOURCE.commitment.end + timedelta(days=730)), term_months=36)
FEWER = changed(quantity=SOURCE.commitment.quantity / 2)
MORE = changed(quantity=SOURCE.commitment.quantity * 2)
ELSEWHERE = changed(zone="us-east-1b")
RETURNED = changed(state=CommitmentState.RETURNED)

RETURN, RENEWAL = AlterationKind.RETURN, AlterationKind.SET_RENEWAL
CANCEL, LENGTHEN = AlterationKind.CANCEL_QUEUED, AlterationKind.UPGRADE_TERM


@pytest.mark.parametrize(
    ("kind", "now", "happened"),
    [
        (RETURN, RENEWED, False),
        (RETURN, LONGER, False),
        (RETURN, ELSEWHERE, False),
        (RETURN, MORE, False),
        (RETURN, FEWER, True),
        (RETURN, RETURNED, True),
        (RETURN, None, True),
        (CANCEL, RENEWED, False),
        (CANCEL, None, True),
        (AlterationKind.EXCHANGE, RENEWED, False),
        (AlterationKind.EXCHANGE, FEWER, True),
        (RENEWAL, RENEWED, True),
        (RENEWAL, FEWER, False),
        (LENGTHEN, LONGER, True),
        (LENGTHEN, RENEWED, False),
        (AlterationKind.MODIFY, ELSEWHERE, True),
        (AlterationKind.MODIFY, RENEWED, False),
        (AlterationKind.SPLIT, FEWER, True),
    ],
)
def test_an_unknown_alteration_is_proven_by_its_own_effect_alone(
    kind: AlterationKind, now: InventoryItem | None, *, happened: bool
) -> None:
    one = unknown(kind, renew=True if kind is RENEWAL else None)
    before = {str(one.order.intent): {SOURCE.commitment.commitment: fingerprint(SOURCE)}}
    items = () if now is None else (now,)
    [finding] = match_alterations([one], before, reading(*items))
    assert isinstance(finding, SettledAltered if happened else SettledNotAltered)


def test_a_renewal_that_was_switched_the_other_way_is_none_of_ours() -> None:
    one = unknown(RENEWAL, renew=False)
    before = {str(one.order.intent): {SOURCE.commitment.commitment: fingerprint(SOURCE)}}
    [finding] = match_alterations([one], before, reading(RENEWED))
    assert isinstance(finding, SettledNotAltered)


def test_what_was_bought_with_a_source_and_is_listed_apart_goes_where_it_goes() -> None:
    whole = replace(SOURCE, reference="one purchase")
    name = CommitmentId(f"{whole.commitment.commitment}/memory")
    part = replace(whole, commitment=replace(whole.commitment, commitment=name))
    other = replace(part, reference="another purchase")
    merged = unknown(AlterationKind.MERGE)
    assert explain((merged,), reading(whole, part)).taken == {SOURCE.commitment.commitment, name}
    assert explain((merged,), reading(whole, other)).taken == {SOURCE.commitment.commitment}
    renewed = unknown(RENEWAL, renew=True)
    assert explain((renewed,), reading(whole, part)).taken == frozenset()


def test_an_exchange_is_listed_once_all_that_it_made_is() -> None:
    asked = unknown(AlterationKind.EXCHANGE)
    offering = SOURCE.commitment.offering
    one_of = Target(offering, SOURCE.commitment.quantity, None, SOURCE.term_months, SOURCE.payment)
    asked = replace(
        asked,
        order=replace(asked.order, targets=(one_of, one_of)),
        state=AlterationState.ALTERED,
    )
    before = {SOURCE.commitment.commitment: fingerprint(SOURCE)}
    made = [
        replace(
            SOURCE,
            commitment=replace(
                SOURCE.commitment, commitment=CommitmentId(f"made-{number}"), start=START
            ),
        )
        for number in (1, 2)
    ]
    soon = START + timedelta(minutes=30)
    assert not is_listed(asked, before, reading(made[0], read_at=soon))
    assert is_listed(asked, before, reading(*made, read_at=soon))
    named = replace(asked, made=(CommitmentId("made-1"),))
    assert is_listed(named, before, reading(made[0], read_at=soon))
