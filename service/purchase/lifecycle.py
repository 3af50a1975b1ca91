"""Decides which moves of an intent and of a proposal are legal, and on whose word.

One table each, and nothing moves but through it. ``docs/purchase.md`` draws both; a test keeps
drawing and table equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from service.domain.alterations import AlterationState
from service.domain.errors import InvariantError
from service.domain.purchases import IntentState, ProposalState

State = TypeVar("State", IntentState, ProposalState, AlterationState)


class Word(StrEnum):
    """On whose word a move is made.

    ``tenor``: its own checks, before the provider was called. ``provider``: the answer to the
    call, or that there was none. ``inventory``: a later, complete reading of what is owned.
    ``person``: somebody's decision. ``time``: a lifetime ended.
    """

    TENOR = "tenor"
    PROVIDER = "provider"
    INVENTORY = "inventory"
    PERSON = "person"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Move(Generic[State]):
    """One legal change of state. ``why`` is what the drawing says on the arrow."""

    source: State
    target: State
    word: Word
    why: str


INTENT_MOVES: tuple[Move[IntentState], ...] = (
    Move(IntentState.RECORDED, IntentState.CALLING, Word.TENOR, "checked again, about to call"),
    Move(IntentState.RECORDED, IntentState.REFUSED, Word.TENOR, "halt, guard or price says no"),
    Move(IntentState.CALLING, IntentState.REFUSED, Word.TENOR, "halted just before the call"),
    Move(IntentState.CALLING, IntentState.BOUGHT, Word.PROVIDER, "the provider says yes"),
    Move(IntentState.CALLING, IntentState.REFUSED, Word.PROVIDER, "the provider says no"),
    Move(IntentState.CALLING, IntentState.UNKNOWN, Word.PROVIDER, "no proof, or died calling"),
    Move(IntentState.RECORDED, IntentState.BOUGHT, Word.INVENTORY, "listed, the call forgotten"),
    Move(IntentState.CALLING, IntentState.BOUGHT, Word.INVENTORY, "listed, its caller gone"),
    Move(IntentState.RECORDED, IntentState.BOUGHT, Word.PERSON, "a person knows it as listed"),
    Move(IntentState.RECORDED, IntentState.REFUSED, Word.PERSON, "a person lets it go"),
    Move(IntentState.UNKNOWN, IntentState.BOUGHT, Word.INVENTORY, "it is listed"),
    Move(IntentState.UNKNOWN, IntentState.REFUSED, Word.INVENTORY, "not listed after the grace"),
    Move(IntentState.UNKNOWN, IntentState.BOUGHT, Word.PERSON, "a person has seen it"),
    Move(IntentState.UNKNOWN, IntentState.REFUSED, Word.PERSON, "a person rules it out"),
    Move(IntentState.REFUSED, IntentState.BOUGHT, Word.INVENTORY, "listed after all"),
    Move(IntentState.REFUSED, IntentState.BOUGHT, Word.PROVIDER, "a yes that came late"),
    Move(IntentState.BOUGHT, IntentState.BOUGHT, Word.PERSON, "never listed but as another"),
    Move(IntentState.BOUGHT, IntentState.REFUSED, Word.PERSON, "never listed, ruled out"),
)
"""Every legal move of an intent. Once called, only the provider's word, its inventory, or a person
who answers for it by name, counts. What was listed once is ``bought`` for good."""

PROPOSAL_MOVES: tuple[Move[ProposalState], ...] = (
    Move(ProposalState.WAITING, ProposalState.WAITING, Word.PERSON, "the first of two says yes"),
    Move(ProposalState.WAITING, ProposalState.APPROVED, Word.PERSON, "somebody says yes"),
    Move(ProposalState.WAITING, ProposalState.REJECTED, Word.PERSON, "somebody says no"),
    Move(ProposalState.WAITING, ProposalState.EXPIRED, Word.PERSON, "somebody ends its lifetime"),
    Move(ProposalState.WAITING, ProposalState.WITHDRAWN, Word.PERSON, "somebody takes it back"),
    Move(ProposalState.APPROVED, ProposalState.WITHDRAWN, Word.PERSON, "a yes is taken back"),
    Move(ProposalState.WAITING, ProposalState.EXPIRED, Word.TIME, "nobody decided in time"),
    Move(ProposalState.WAITING, ProposalState.EXPIRED, Word.TENOR, "a newer plan replaced it"),
    Move(ProposalState.APPROVED, ProposalState.EXECUTED, Word.TENOR, "its intent is written"),
    Move(ProposalState.APPROVED, ProposalState.REFUSED, Word.TENOR, "guard or price says no"),
    Move(ProposalState.APPROVED, ProposalState.EXPIRED, Word.TIME, "not executed in time"),
    Move(ProposalState.APPROVED, ProposalState.EXPIRED, Word.TENOR, "a newer plan replaced it"),
)
"""Every legal move of a proposal."""

ALTERATION_MOVES: tuple[Move[AlterationState], ...] = (
    Move(AlterationState.WAITING, AlterationState.RECORDED, Word.TENOR, "autopilot may"),
    Move(AlterationState.WAITING, AlterationState.APPROVED, Word.PERSON, "somebody says yes"),
    Move(AlterationState.WAITING, AlterationState.WITHDRAWN, Word.PERSON, "somebody says no"),
    Move(AlterationState.WAITING, AlterationState.WITHDRAWN, Word.TIME, "nobody decided in time"),
    Move(AlterationState.WAITING, AlterationState.WITHDRAWN, Word.TENOR, "the evidence turned"),
    Move(AlterationState.APPROVED, AlterationState.WAITING, Word.TENOR, "two people must say yes"),
    Move(AlterationState.APPROVED, AlterationState.RECORDED, Word.TENOR, "checked and quoted"),
    Move(AlterationState.APPROVED, AlterationState.WITHDRAWN, Word.PERSON, "a yes is taken back"),
    Move(AlterationState.APPROVED, AlterationState.WITHDRAWN, Word.TIME, "not done in time"),
    Move(AlterationState.APPROVED, AlterationState.WITHDRAWN, Word.TENOR, "guard or quote says no"),
    Move(AlterationState.RECORDED, AlterationState.CALLING, Word.TENOR, "about to call"),
    Move(AlterationState.RECORDED, AlterationState.REFUSED, Word.TENOR, "never called"),
    Move(AlterationState.CALLING, AlterationState.REFUSED, Word.TENOR, "halted before the call"),
    Move(AlterationState.CALLING, AlterationState.ALTERED, Word.PROVIDER, "the provider says yes"),
    Move(AlterationState.CALLING, AlterationState.REFUSED, Word.PROVIDER, "the provider says no"),
    Move(AlterationState.CALLING, AlterationState.UNKNOWN, Word.PROVIDER, "no proof, or died"),
    Move(AlterationState.UNKNOWN, AlterationState.ALTERED, Word.INVENTORY, "its effect is listed"),
    Move(AlterationState.UNKNOWN, AlterationState.REFUSED, Word.INVENTORY, "untouched after all"),
    Move(AlterationState.UNKNOWN, AlterationState.ALTERED, Word.PERSON, "a person has seen it"),
    Move(AlterationState.UNKNOWN, AlterationState.REFUSED, Word.PERSON, "a person rules it out"),
    Move(AlterationState.REFUSED, AlterationState.ALTERED, Word.INVENTORY, "listed after all"),
    Move(AlterationState.REFUSED, AlterationState.ALTERED, Word.PROVIDER, "a yes that came late"),
)
"""Every legal move of an alteration. What was called is never called again."""

INTENT_START = IntentState.RECORDED
PROPOSAL_START = ProposalState.WAITING
ALTERATION_START = AlterationState.WAITING


def require_intent_move(source: IntentState, target: IntentState, word: Word) -> None:
    """``InvariantError`` unless an intent may go from ``source`` to ``target`` on ``word``."""
    _require("intent", INTENT_MOVES, source, target, word)


def require_proposal_move(source: ProposalState, target: ProposalState, word: Word) -> None:
    """``InvariantError`` unless a proposal may go from ``source`` to ``target`` on ``word``."""
    _require("proposal", PROPOSAL_MOVES, source, target, word)


def require_alteration_move(source: AlterationState, target: AlterationState, word: Word) -> None:
    """``InvariantError`` unless an alteration may go from ``source`` to ``target`` on ``word``."""
    _require("alteration", ALTERATION_MOVES, source, target, word)


def mermaid(start: State, moves: Iterable[Move[State]]) -> str:
    """The table as a mermaid state diagram, one arrow per move."""
    lines = ["stateDiagram-v2", f"    [*] --> {start.value}"]
    lines += [
        f"    {move.source.value} --> {move.target.value}: {move.word.value} - {move.why}"
        for move in moves
    ]
    return "\n".join(lines)


def _require(
    what: str, moves: Iterable[Move[State]], source: State, target: State, word: Word
) -> None:
    if not any((m.source, m.target, m.word) == (source, target, word) for m in moves):
        msg = f"{what} may not move from {source} to {target} on the word of {word}"
        raise InvariantError(msg)
