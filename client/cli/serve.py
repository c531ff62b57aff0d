"""`sendgate serve`: the API alone, on the servers that the environment names."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import click

from client.cli.exits import ExitCode
from client.cli.inputs import Host, WholeFrom
from client.cli.verb import Verb


@click.command(
    "serve",
    cls=Verb,
    examples=("sendgate serve", "sendgate serve --host 0.0.0.0 --port 80"),
)
@click.option(
    "--host",
    type=Host(),
    metavar="ADDRESS",
    help="Address to listen on.  [default: SENDGATE_HTTP_HOST, else 127.0.0.1]",
)
@click.option(
    "--port",
    type=WholeFrom(1, 65535),
    metavar="PORT",
    help="Port to listen on.  [default: SENDGATE_HTTP_PORT, else 8080]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON document once it is ready.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an unexpected error.")
def serve(*, host: str | None, port: int | None, as_json: bool) -> ExitCode:
    """Serve the REST API, until Ctrl-C or SIGTERM.

    It works on the servers that the settings name: SENDGATE_DATABASE_URL and Temporal's own variables. Run as many as
    you like. It listens on 127.0.0.1 unless told otherwise, and on an address that others reach only if there is an
    API key. (`sendgate up` serves it too, with everything it needs.)
    """
    # Imported here: the HTTP server is nothing that the help of other verbs should wait for.
    from client.cli.output import Output
    from client.serve import serve as serve_api
    from settings import read_settings

    changes = {"http_host": host, "http_port": port}
    settings = read_settings().model_copy(update={name: given for name, given in changes.items() if given is not None})
    out = Output(as_json=as_json)

    def show(url: str) -> None:
        out.answer({"url": url}, f"Serving on {url}, the documentation at {url}/docs")
        out.flush()

    runner = asyncio.run
    if sys.platform != "win32":
        with suppress(ImportError):
            import uvloop

            runner = uvloop.run
    runner(serve_api(settings, on_ready=show))
    return ExitCode.DONE
