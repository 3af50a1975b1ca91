"""Two yeses are of two people only where nothing says that they are of one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.domain.alterations import Alteration, AlterationKind, AlterationOrder, AlterationState
from service.domain.commitments import Kind
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId
from service.domain.purchases import Approval
from service.purchase.people import has_approved, identity_of, may_have_altered

AT = datetime(2026, 3, 2, tzinfo=UTC)
SUBJECT = "https://id.example.com#u-1"
SSO = Approval(identity_of(SUBJECT), f"ada@example.com ({SUBJECT})", AT, "", 1, Decimal(1))
TOKEN = Approval("ada@example.com", "ada@example.com (tok_1)", AT, "", 1, Decimal(1))


@pytest.mark.parametrize(
    ("before", "person", "label"),
    [
        (SSO, "ada@example.com", "ada@example.com"),
        (SSO, "ADA@example.com", " ADA@example.com"),
        (SSO, "ａｄａ@example.com", "ａｄａ@example.com"),
        (SSO, SUBJECT, "Ada Lovelace"),
        (TOKEN, SUBJECT, "ada@example.com"),
        (TOKEN, "ada@example.com", "ada@example.com"),
    ],
)
def test_a_sign_in_and_a_token_of_one_name_are_one_person(
    before: Approval, person: str, label: str
) -> None:
    assert has_approved([before], person=person, label=label)


@pytest.mark.parametrize("before", [SSO, TOKEN])
@pytest.mark.parametrize(
    ("person", "label"),
    [("bo@example.com", "bo@example.com"), ("https://id.example.com#u-2", "Bo"), ("ada", "ada")],
)
def test_people_of_other_names_are_other_people(before: Approval, person: str, label: str) -> None:
    assert not has_approved([before], person=person, label=label)


def altered_by(*people: str, called: tuple[str, ...] = ()) -> Alteration:
    order = AlterationOrder(
        intent=IntentId("a-1"),
        token=ClientToken("t"),
        alteration=AlterationKind.RETURN,
        account=AccountId("111122223333"),
        kind=Kind.AWS_COMPUTE_SP,
        sources=(CommitmentId("ri-1"),),
        targets=(),
        most_to_pay_usd=Decimal(0),
    )
    asked = Alteration(
        order=order,
        provider="aws",
        state=AlterationState.WAITING,
        run="undo",
        version=1,
        fence=0,
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        asked_at=AT,
        expires_at=AT,
        recorded_at=None,
        called_at=None,
        updated_at=AT,
        decided_by=None,
        reason="",
        detail="",
        made=(),
    )
    return replace(asked, approved_by=people, called=called)


def test_an_alteration_is_judged_by_what_people_are_called_too() -> None:
    named = altered_by(identity_of(SUBJECT), called=("ada@example.com",))
    assert may_have_altered(named, person="Ada@example.com", label="Ada@example.com")
    assert may_have_altered(named, person=SUBJECT, label="Somebody")
    assert not may_have_altered(named, person="bo", label="Bo")
    by_token = altered_by("ada@example.com")
    assert may_have_altered(by_token, person=SUBJECT, label="ada@example.com")
    assert not may_have_altered(by_token, person="bo", label="Bo")


def test_who_was_never_named_may_be_anybody() -> None:
    assert may_have_altered(altered_by(identity_of(SUBJECT)), person="bo", label="Bo")
