"""What the API says while the servers it needs are away: a 503 in the one shape, and all is well once they are back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from client import temporal
from client.api import calls
from client.sweep import Sweep
from models.errors import Unreachable
from models.message import MessageStatus
from storage.database import open_pool
from tests.api.api import Api
from tests.api.test_messages import CONTENT, MESSAGES
from tests.harness import Harness
from tests.tcp_proxy import TcpProxy


async def test_a_silent_database_is_a_503_and_all_is_well_once_it_speaks_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.add_contacts(1)
    place = urlsplit(harness.database_url)
    assert place.port is not None
    async with TcpProxy("127.0.0.1", place.port) as proxy:
        url = harness.database_url.replace(f":{place.port}/", f":{proxy.port}/")
        async with open_pool(url, most=20) as pool:
            api = Api(Harness(pool, url, harness.client, harness.smtp))
            draft = (await api.ok("POST", MESSAGES, json=CONTENT))["id"]
            proxy.cut()
            monkeypatch.setattr(calls, "PATIENCE", timedelta(seconds=0.3))
            asked: list[tuple[str, str, dict[str, Any]]] = [
                ("GET", MESSAGES, {}),
                ("GET", f"{MESSAGES}/{draft}/progress", {}),
                ("PUT", f"{MESSAGES}/{draft}/pause?wait=0", {}),
                ("POST", MESSAGES, {"json": CONTENT, "headers": {"Idempotency-Key": "k"}}),
                ("PUT", "/v1/hold", {"json": {"reason": "x"}}),
                ("GET", "/readyz", {}),
                ("GET", MESSAGES, {"key": "of nobody we know"}),
            ]
            for method, path, given in asked:
                assert (await api.refused(503, method, path, **given))["code"] == "unreachable"
            assert (await api("GET", "/healthz")).status_code == 200
            proxy.heal()
            monkeypatch.setattr(calls, "PATIENCE", timedelta(seconds=30))
            assert (await api.ok("GET", f"{MESSAGES}/{draft}"))["status"] == "draft"
            await api.aclose()


async def test_a_connection_that_is_cut_off_is_a_503(api: Api) -> None:
    """As when PostgreSQL is restarted under a call."""
    async with api.harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table messages in access exclusive mode")
        asked = asyncio.create_task(api("GET", MESSAGES))
        await api.harness.cut_off_whoever_waits()
        response = await asked
    assert (response.status_code, response.json()["code"]) == (503, "unreachable")


async def test_without_temporal_a_stop_is_a_503_and_nothing_is_asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.harness.add_contacts(1)
    draft = await api.harness.draft()
    await api.harness.prepare_server()
    await api.ok("PUT", f"{MESSAGES}/{draft}/send")

    async def away() -> None:
        raise Unreachable("Temporal does not answer at 127.0.0.1:1; is the server running?")

    with monkeypatch.context() as gone:
        gone.setattr(api.harness.use_cases, "_workflows", away)
        assert "Temporal" in (await api.refused(503, "PUT", f"{MESSAGES}/{draft}/cancel"))["message"]
        assert (await api.ok("GET", f"{MESSAGES}/{draft}"))["pending_command"] is None
        held = await api.ok("PUT", "/v1/hold", json={"reason": "incident"})
        assert held["held"], "the brake needs the database alone"
        await api.refused(503, "DELETE", "/v1/hold")
        assert (await api.ok("GET", "/v1/hold"))["held"]
    await api.ok("DELETE", "/v1/hold")


async def test_a_stop_whose_signal_is_lost_is_a_202_and_the_sweep_signals_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API that was connected before Temporal went away: what it recorded stays asked for."""
    await harness.add_contacts(200)
    host, _, port = harness.client.service_client.config.target_host.rpartition(":")
    async with TcpProxy(host, int(port)) as proxy, harness.worker():
        client = await temporal.connect(f"127.0.0.1:{proxy.port}", harness.client.namespace, alone=True)
        api = Api(Harness(harness.pool, harness.database_url, client, harness.smtp))
        draft = await harness.draft()
        path = f"{MESSAGES}/{draft}"
        await api.ok("PUT", f"{path}/send", json={"emails_per_second": 5})
        await harness.until_left(3)
        with monkeypatch.context() as gone:
            gone.setattr(temporal, "_CALL_WITHIN", timedelta(seconds=0.3))
            proxy.cut()
            response = await api("PUT", f"{path}/pause?wait=0.5", json={"reason": "the link is broken"})
        message = response.json()
        assert (response.status_code, message["receipt"], message["status"]) == (202, None, "sending")
        assert (await api.ok("GET", path))["pending_command"] == "pause"
        await harness.until_left(len(harness.smtp.accepted()) + 3)  # nobody may read it as stopped
        await Sweep(harness.pool, harness.workflows, lost_after=timedelta(0)).once()
        await harness.until(draft, MessageStatus.PAUSED)
        receipt = (await api.ok("GET", path))["receipt"]
        assert (receipt["command"], receipt["outcome"], receipt["reason"]) == ("pause", "done", "the link is broken")
        await api.aclose()
