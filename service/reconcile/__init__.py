"""Stage 6. The provider's inventory against the ledger; unknown outcomes settle only here."""
