"""The SMTP server of these tests: the log server, in another process."""

from __future__ import annotations

import pytest

from tests.smtp_log_server import SmtpLogServer


@pytest.fixture
def smtp_server(shared_smtp_server: SmtpLogServer) -> SmtpLogServer:
    """One process for the whole file, as new for each test."""
    shared_smtp_server.reset()
    return shared_smtp_server
