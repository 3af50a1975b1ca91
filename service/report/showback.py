"""Who pays for what: a bill split over accounts or teams, to the nano-dollar.

Three ways to share commitments, and a rule for what nobody used. Whatever the way, the effective
costs add up to the bill's total exactly, and what belongs to no team stands under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from service.billing.bill import Bill, settle
from service.billing.exact import Pair, apportioned, fractions, totals, written
from service.billing.kernel import Hours, run
from service.billing.moves import Move
from service.billing.sharing import ORGANISATION, Sharing
from service.billing.waterfall import waterfall
from service.domain.errors import InvariantError
from service.domain.ids import AccountId
from service.domain.usage import Dataset

UNALLOCATED = "(unallocated)"
PLACES = 9
ZERO = Decimal(0)
Weights = dict[str, Fraction]


class Method(StrEnum):
    """How the cost of used commitments is shared.

    ``as_applied``: whoever's usage the provider applied a commitment to pays for that part.
    ``shared_benefit``: all eligible usage pays alike, in proportion to its on-demand equivalent,
    whose usage happened to be covered or not. Unused cost is shared the same way, and no unused
    rule applies; usage that no commitment may cover pays its own on-demand cost.
    """

    AS_APPLIED = "as_applied"
    SHARED_BENEFIT = "shared_benefit"


class UnusedRule(StrEnum):
    """Who bears the unused part of a commitment.

    ``owner``: the account that owns it. ``users``: those who used the rest of it, in proportion
    (the owner where nobody did). ``central``: nobody; it stands apart as unallocated.
    """

    OWNER = "owner"
    USERS = "users"
    CENTRAL = "central"


@dataclass(frozen=True, slots=True)
class Share:
    """One account's or team's part of a bill, in dollars.

    ``effective_usd`` = on demand + used + unused is what it pays; ``savings_usd`` = on-demand
    equivalent − effective.
    """

    owner: str
    on_demand_equivalent_usd: Decimal
    on_demand_usd: Decimal
    used_usd: Decimal
    unused_usd: Decimal
    effective_usd: Decimal
    savings_usd: Decimal


@dataclass(frozen=True, slots=True)
class Showback:
    """A bill and its shares, by owner name; every column adds up to the bill's."""

    method: Method
    unused_rule: UnusedRule
    bill: Bill
    shares: tuple[Share, ...]


def showback(
    dataset: Dataset,
    *,
    teams: Mapping[AccountId, str] | None = None,
    method: Method = Method.AS_APPLIED,
    unused_rule: UnusedRule = UnusedRule.OWNER,
    sharing: Sharing = ORGANISATION,
) -> Showback:
    """Split the dataset's bill over accounts, or over ``teams`` (account → team, a tag's value).

    With ``teams``, accounts that are not in it are unallocated, shown and never dropped. Raises
    ``InvariantError`` if shares do not add up.
    """
    split = _split(dataset, teams, sharing)
    if method is Method.AS_APPLIED:
        parts = _as_applied(split, unused_rule)
    else:
        parts = _shared_benefit(split)
    shares = tuple(_share(owner, *columns) for owner, columns in sorted(parts.items()))
    paid = sum((share.effective_usd for share in shares), ZERO)
    if paid != split.bill.total_usd:
        msg = f"shares of {paid} USD do not add up to the bill's {split.bill.total_usd}"
        raise InvariantError(msg)
    return Showback(method, unused_rule, split.bill, shares)


Columns = tuple[Decimal, Decimal, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class _Split:
    """Exact dollars by owner; eligible usage is what any of the commitments may cover."""

    bill: Bill
    equivalent: Weights
    uncovered: Weights
    eligible: Weights
    eligible_uncovered: Fraction
    ineligible: Weights
    used: tuple[Weights, ...]
    commitment_owner: tuple[str, ...]


def _split(dataset: Dataset, teams: Mapping[AccountId, str] | None, sharing: Sharing) -> _Split:
    usage = dataset.usage
    plan = waterfall(
        hours=usage.hours,
        lines=usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
        sharing=sharing,
    )
    covered: dict[tuple[int, int, Fraction], Fraction] = {}

    def note(move: Move, line: int, hours: Hours, quantity: Pair) -> None:
        del hours
        key = (move.room, line, Fraction(move.rates[move.lines.index(line)]))
        (more,) = fractions(totals(Pair(quantity.high[None], quantity.low[None])))
        covered[key] = covered.get(key, Fraction(0)) + more

    quantity = written(usage.quantity.T.copy())
    outcome = run(plan.rooms, plan.moves, quantity, note)

    def owner(account: AccountId) -> str:
        return account if teams is None else teams.get(account, UNALLOCATED)

    owners = [owner(line.account) for line in usage.lines]
    prices = [Fraction(dataset.skus[line.key].on_demand_usd) for line in usage.lines]
    equivalent = _priced(fractions(totals(quantity)), prices)
    uncovered = _priced(fractions(totals(outcome.usage)), prices)
    may = {line for move in plan.moves for line in move.lines}
    used: tuple[Weights, ...] = tuple({} for _ in plan.rooms)
    for (room, line, rate), amount in covered.items():
        _add(used[room], owners[line], amount * rate * plan.rooms[room].usd_per_room)
    return _Split(
        bill=settle(dataset, plan, quantity, outcome),
        equivalent=_by_owner(owners, equivalent),
        uncovered=_by_owner(owners, uncovered),
        eligible=_by_owner(owners, equivalent, only=may),
        eligible_uncovered=sum((uncovered[line] for line in may), Fraction(0)),
        ineligible=_by_owner(owners, equivalent, only=set(range(len(owners))) - may),
        used=used,
        commitment_owner=tuple(owner(room.commitment.account) for room in plan.rooms),
    )


def _as_applied(split: _Split, rule: UnusedRule) -> dict[str, Columns]:
    bill = split.bill
    used: dict[str, Decimal] = {}
    unused: dict[str, Decimal] = {}
    for use, weights, owner in zip(
        bill.commitments.values(), split.used, split.commitment_owner, strict=True
    ):
        users = weights if sum(weights.values()) else {owner: Fraction(1)}
        _spread(used, users, use.used_usd)
        bearers = {
            UnusedRule.OWNER: {owner: Fraction(1)},
            UnusedRule.USERS: users,
            UnusedRule.CENTRAL: {UNALLOCATED: Fraction(1)},
        }[rule]
        _spread(unused, bearers, use.unused_usd)
    on_demand: dict[str, Decimal] = {}
    _spread(on_demand, split.uncovered, bill.on_demand_usd)
    return _columns(split, on_demand, used, unused)


def _shared_benefit(split: _Split) -> dict[str, Columns]:
    bill = split.bill
    used: dict[str, Decimal] = {}
    unused: dict[str, Decimal] = {}
    for use, owner in zip(bill.commitments.values(), split.commitment_owner, strict=True):
        sharers = split.eligible if sum(split.eligible.values()) else {owner: Fraction(1)}
        _spread(used, sharers, use.used_usd)
        _spread(unused, sharers, use.unused_usd)
    # Uncovered usage of what may be covered is shared alike; the rest stays with its owner.
    whole = sum(split.eligible.values(), Fraction(0))
    bare = dict(split.ineligible)
    for owner, usd in split.eligible.items():
        if whole:
            _add(bare, owner, split.eligible_uncovered * usd / whole)
    on_demand: dict[str, Decimal] = {}
    _spread(on_demand, bare, bill.on_demand_usd)
    return _columns(split, on_demand, used, unused)


def _columns(
    split: _Split,
    on_demand: Mapping[str, Decimal],
    used: Mapping[str, Decimal],
    unused: Mapping[str, Decimal],
) -> dict[str, Columns]:
    equivalent: dict[str, Decimal] = {}
    _spread(equivalent, split.equivalent, split.bill.on_demand_equivalent_usd)
    owners = {*equivalent, *on_demand, *used, *unused}
    return {
        owner: (
            equivalent.get(owner, ZERO),
            on_demand.get(owner, ZERO),
            used.get(owner, ZERO),
            unused.get(owner, ZERO),
        )
        for owner in owners
    }


def _share(owner: str, equivalent: Decimal, *paid: Decimal) -> Share:
    on_demand, used, unused = paid
    effective = on_demand + used + unused
    return Share(owner, equivalent, on_demand, used, unused, effective, equivalent - effective)


def _spread(into: dict[str, Decimal], weights: Weights, amount: Decimal) -> None:
    """Add ``amount`` to owners in proportion to ``weights``, exactly; nothing where it is 0."""
    whole = sum(weights.values(), Fraction(0))
    if not whole:
        if amount:
            _plus(into, UNALLOCATED, amount)
        return
    owners = sorted(weights)
    values = [weights[owner] / whole * Fraction(amount) for owner in owners]
    for owner, part in zip(owners, apportioned(values, amount, PLACES), strict=True):
        _plus(into, owner, part)


def _plus(into: dict[str, Decimal], owner: str, amount: Decimal) -> None:
    into[owner] = into.get(owner, ZERO) + amount


def _add(into: Weights, owner: str, amount: Fraction) -> None:
    into[owner] = into.get(owner, Fraction(0)) + amount


def _priced(amounts: Sequence[Fraction], prices: Sequence[Fraction]) -> list[Fraction]:
    return [amount * price for amount, price in zip(amounts, prices, strict=True)]


def _by_owner(
    owners: Sequence[str], dollars: Sequence[Fraction], only: set[int] | None = None
) -> Weights:
    found: Weights = {}
    for index, (owner, usd) in enumerate(zip(owners, dollars, strict=True)):
        if only is None or index in only:
            _add(found, owner, usd)
    return found
