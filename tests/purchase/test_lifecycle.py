"""One table of legal moves; the drawing shows it, and nothing else moves a row."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from service.domain.alterations import AlterationState
from service.domain.errors import InvariantError
from service.domain.purchases import IntentState, ProposalState
from service.purchase.lifecycle import (
    ALTERATION_MOVES,
    ALTERATION_START,
    INTENT_MOVES,
    INTENT_START,
    PROPOSAL_MOVES,
    PROPOSAL_START,
    Word,
    mermaid,
    require_intent_move,
    require_proposal_move,
)
from service.store import intents
from service.store.engine import reading, writing
from tests.purchase.world import CYCLE, START, make_line, store_plan
from tests.reconcile.listing import intent

DOCS = Path(__file__).resolve().parents[2] / "docs" / "purchase.md"


def test_the_drawing_is_the_table() -> None:
    drawn = re.findall(r"```mermaid\n(stateDiagram.*?)\n```", DOCS.read_text("utf-8"), re.DOTALL)
    assert drawn == [
        mermaid(INTENT_START, INTENT_MOVES),
        mermaid(PROPOSAL_START, PROPOSAL_MOVES),
        mermaid(ALTERATION_START, ALTERATION_MOVES),
    ]


@pytest.mark.parametrize(
    ("source", "target", "word"), list(product(IntentState, IntentState, Word))
)
def test_an_intent_moves_only_as_the_table_says(
    source: IntentState, target: IntentState, word: Word
) -> None:
    if any((m.source, m.target, m.word) == (source, target, word) for m in INTENT_MOVES):
        require_intent_move(source, target, word)
    else:
        with pytest.raises(InvariantError):
            require_intent_move(source, target, word)


def test_only_the_inventory_or_a_person_moves_an_unknown_outcome() -> None:
    words = {move.word for move in INTENT_MOVES if move.source is IntentState.UNKNOWN}
    altered = {move.word for move in ALTERATION_MOVES if move.source is AlterationState.UNKNOWN}
    assert words == altered == {Word.INVENTORY, Word.PERSON}


def test_an_alteration_that_was_called_is_never_called_again() -> None:
    calling = [move.source for move in ALTERATION_MOVES if move.target is AlterationState.CALLING]
    assert calling == [AlterationState.RECORDED]
    before = {AlterationState.WAITING, AlterationState.APPROVED}
    into = {move.source for move in ALTERATION_MOVES if move.target is AlterationState.RECORDED}
    assert into == before
    reached = {ALTERATION_START} | {move.target for move in ALTERATION_MOVES}
    assert reached == set(AlterationState)


def test_what_was_bought_stays_bought_unless_a_person_says_that_it_was_never_listed() -> None:
    moves = [move for move in INTENT_MOVES if move.source is IntentState.BOUGHT]
    assert {move.word for move in moves} == {Word.PERSON}
    assert all("never listed" in move.why for move in moves)


def test_nothing_that_was_called_is_ever_called_again() -> None:
    into_calling = [move.source for move in INTENT_MOVES if move.target is IntentState.CALLING]
    assert into_calling == [IntentState.RECORDED]
    assert not any(move.target is IntentState.RECORDED for move in INTENT_MOVES)


def test_every_state_can_be_reached_and_rest_is_where_it_should_be() -> None:
    reached = {INTENT_START} | {move.target for move in INTENT_MOVES}
    assert reached == set(IntentState)
    proposed = {PROPOSAL_START} | {move.target for move in PROPOSAL_MOVES}
    assert proposed == set(ProposalState)
    left = {move.source for move in PROPOSAL_MOVES}
    assert left == {ProposalState.WAITING, ProposalState.APPROVED}


def test_an_expired_proposal_cannot_be_executed() -> None:
    with pytest.raises(InvariantError):
        require_proposal_move(ProposalState.EXPIRED, ProposalState.EXECUTED, Word.TENOR)


def test_a_move_from_a_state_that_the_row_has_left_writes_nothing(engine: Engine) -> None:
    store_plan(engine, make_line())
    with writing(engine) as connection:
        intents.record(connection, intent(1, IntentState.RECORDED), cycle=CYCLE)
        one = intent(1, IntentState.RECORDED).order.intent
        assert intents.begin_call(connection, one, fence=1, now=START)
        assert not intents.begin_call(connection, one, fence=1, now=START)
        late = START + timedelta(hours=1)
        moved = intents.move(
            connection,
            one,
            source=IntentState.RECORDED,
            target=IntentState.REFUSED,
            word=Word.TENOR,
            now=late,
            detail="too late",
        )
        assert not moved
    with reading(engine) as connection:
        found = intents.find(connection, one)
    assert found is not None
    assert (found.state, found.updated_at) == (IntentState.CALLING, START)


@pytest.mark.parametrize("twin", ["line", "token"])
def test_the_database_refuses_a_second_intent_for_a_line_or_a_token(
    engine: Engine, twin: str
) -> None:
    store_plan(engine, make_line(1), make_line(2))
    first = intent(1, IntentState.RECORDED)
    second = intent(2, IntentState.RECORDED, like=1)
    if twin == "token":
        second = intent(1, IntentState.RECORDED, like=2)
    with writing(engine) as connection:
        intents.record(connection, first, cycle=CYCLE)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        intents.record(connection, second, cycle=CYCLE)
