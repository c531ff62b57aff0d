"""aiosmtpd as a next hop that demands TLS and AUTH."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from client.local.postgres import free_port

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.pem"


class Secured:
    """aiosmtpd, by other hands than ours: STARTTLS or TLS, and AUTH with the user `us` and the password `right`."""

    def __init__(self, *, implicit: bool) -> None:
        self.received: list[str] = []
        self.offers: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        security = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
        self.port = free_port()
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self.authenticate,
            auth_required=True,
            auth_require_tls=not implicit,  # aiosmtpd knows only of TLS that began with STARTTLS
            **security,
        )

    def authenticate(
        self, server: object, session: object, envelope: object, mechanism: str, data: object
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"us", b"right")
        return AuthResult(success=right, handled=False)

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: object, session: Any, envelope: object, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *self.offers, responses[-1]]

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.received += envelope.rcpt_tos
        return "250 2.0.0 Ok"


@contextmanager
def secured_server(*, implicit: bool) -> Iterator[Secured]:
    """Run it, with TLS from the first byte or by STARTTLS."""
    server = Secured(implicit=implicit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aiosmtpd's own: the thread it runs in, AUTH without STARTTLS
        server.controller.start()
        try:
            yield server
        finally:
            server.controller.stop()


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))
