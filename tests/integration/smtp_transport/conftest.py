"""The SMTP server of these tests: the log server, in another process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.smtp_log_server import SmtpLogServer


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpLogServer]:
    with SmtpLogServer(tmp_path_factory.mktemp("smtp")) as server:
        yield server


@pytest.fixture
def smtp_server(shared_server: SmtpLogServer) -> SmtpLogServer:
    """One process for the whole file, as new for each test."""
    shared_server.reset()
    return shared_server
