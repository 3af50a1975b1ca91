"""Whose credentials these are: decides whether an order may go out with them at all."""

from __future__ import annotations

from service.domain.errors import ProviderError
from service.domain.ids import AccountId
from service.domain.purchases import Refused
from service.providers.aws.clients import AwsClients, invoke
from service.providers.aws.outcome import NOT_SENT


class OwnAccount:
    """The one account that a set of credentials speaks for."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._account: AccountId | None = None

    def number(self) -> AccountId:
        """The credentials' account. It is theirs for good, so AWS is asked once."""
        if self._account is None:
            answer = invoke(
                self._clients.reading("sts"), "get_caller_identity", {}, needs="Account"
            )
            self._account = AccountId(answer["Account"])
        return self._account

    def refusal(self, ordered: AccountId) -> Refused | None:
        """``None`` when an order for account ``ordered`` may be sent with these credentials."""
        try:
            account = self.number()
        except ProviderError as error:
            return Refused(code=NOT_SENT, detail=str(error))
        if account == ordered:
            return None
        return Refused(
            code="wrong_account",
            detail=f"the credentials are for {account}, the order for {ordered}",
        )
