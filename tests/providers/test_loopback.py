"""Only a number of this machine is loopback; a name may lead anywhere."""

from __future__ import annotations

import pytest

from service.providers.loopback import is_loopback


@pytest.mark.parametrize("url", ["http://127.0.0.1:8", "https://127.9.9.9", "http://[::1]:8/x"])
def test_numbers_of_this_machine_are_loopback(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "ftp://127.0.0.1",
        "127.0.0.1:8",
        "",
    ],
)
def test_names_other_machines_and_other_schemes_are_not(url: str) -> None:
    assert not is_loopback(url)
