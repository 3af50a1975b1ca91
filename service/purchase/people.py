"""Decides whether two yeses are of one person, whatever they signed in with.

A person may be known to the identity provider and hold tokens too: whoever is called the same is
taken to be the same. That can take two people for one, which asks for a third; it never lets one
person count twice because they have two ways in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from service.domain.alterations import Alteration
from service.domain.purchases import Approval

_OF_A_PROVIDER = "://"
"""Who comes through the identity provider is known by its address and their subject there."""

_SHELL = "command line"


def said_at_a_shell(user: str, on_behalf_of: str | None) -> str:
    """How the ledger names ``user`` of the system, who says whom they act for, or does not."""
    return f"{_SHELL} ({user})" + ("" if on_behalf_of is None else f" for {on_behalf_of}")


def identity_of(name: str) -> str:
    """A name as it is compared: spellings of one name that look alike are one person."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def has_approved(approvals: Iterable[Approval], *, person: str, label: str) -> bool:
    """True when one of ``approvals`` is of ``person``, or of who is called ``label`` like them.

    What an approver was called stands at the beginning of ``by``, before what they signed in with
    in brackets. A name that goes on in brackets is taken for the same name. Whom somebody at a
    shell said to act for has approved too.
    """
    names = {identity_of(person), identity_of(label)}
    return any(
        identity_of(one.person) in names
        or any(_is_called(identity_of(one.by), name) for name in names)
        for one in approvals
    )


def _is_called(by: str, name: str) -> bool:
    at_a_shell = by.startswith(f"{_SHELL} (") and by.endswith(f") for {name}")
    return by == name or by.startswith(f"{name} (") or at_a_shell


def may_have_altered(found: Alteration, *, person: str, label: str) -> bool:
    """True when who is ``person``, called ``label``, said yes to ``found``, or may have.

    What people are called was not always kept: of whom only the identity provider's subject is
    known, nobody can say that this is another.
    """
    here = {identity_of(person), identity_of(label)}
    if here & {identity_of(one) for one in (*found.approved_by, *found.called)}:
        return True
    unnamed = len(found.called) < len(found.approved_by)
    return unnamed and any(_OF_A_PROVIDER in one for one in found.approved_by)
