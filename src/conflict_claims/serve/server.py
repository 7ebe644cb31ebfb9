"""Listen, serve, and stop so that nobody who was let in goes without an answer."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load
from conflict_claims.serve.app import create_app

TOKEN = "CONFLICT_CLAIMS_TOKEN"
SHORTEST_TOKEN = 16
LEAVE = 1.0
"""Seconds in which clients with an open connection hear 503 and "close" before connections are closed silently."""
LAST = 0.3
"""Seconds for the requests of those who were connected when the address was closed to arrive."""
PATIENCE = 120
"""Seconds after which a client that does not take its answer is given up."""


class Server(uvicorn.Server):
    """uvicorn's server with a gentler stop, and exit status 0 after one."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after the first signal; a second Ctrl-C stops at once."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new requests, let clients go, answer what was taken, end."""
        self.config.app.state.batcher.stopping = True  # type: ignore[union-attr]
        if self.server_state.connections and not self.force_exit:
            await asyncio.sleep(LEAVE)
            await self._take_last(sockets or [])
        await super().shutdown(sockets)

    async def _take_last(self, listening: list[socket.socket]) -> None:
        """Close the address, but let in whoever the system has connected already: they hear 503, not a reset."""
        loop = asyncio.get_running_loop()
        waiting = []
        for sock in listening:
            with contextlib.suppress(OSError):
                while True:
                    waiting.append(sock.accept()[0])
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(
                lambda: self.config.http_protocol_class(  # type: ignore[call-arg]
                    config=self.config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                connection,
            )
        await asyncio.sleep(LAST)


def serve(model: Path, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve a model folder until SIGTERM or Ctrl-C.

    Args:
        model: a model folder.
        host: a loopback address or name, or, where the environment variable CONFLICT_CLAIMS_TOKEN is set, any.
        port: 0 takes a free one.
        say: called with the address when requests are answered.

    Raises:
        ClaimsError: no model, no token where one is needed, or an address that cannot be listened on.
    """
    family, address = _resolve(host, port)
    token = _token(loopback=ipaddress.ip_address(address[0].partition("%")[0]).is_loopback, host=host)
    app = create_app(load(model), str(model), token=token)
    try:
        listening = listen(family, address)
    except OSError as error:
        raise ClaimsError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --host or --port"
        ) from None
    shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    say(f"{model} answers on http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C stops it)")
    run(app, listening)


def listen(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """A socket that listens.

    It names its protocol, as `socket.create_server` does not: only then asyncio switches TCP's delay off, which costs
    every answer 40 ms.
    """
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve an application of `create_app` on a socket that listens already."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    Server(config).run([listening])


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not 0 <= port < 65536:
        raise ClaimsError(f"--port {port}: expected a number from 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host or "none", port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ClaimsError(f"--host {host} --port {port}: expected an address of this machine ({error})") from None
    return family, (str(address[0]), int(address[1]))


def _token(*, loopback: bool, host: str) -> str | None:
    token = os.environ.get(TOKEN, "")
    if not token and not loopback:
        raise ClaimsError(
            f"{host} can be reached from other machines: set the environment variable {TOKEN} to a secret that "
            "callers must send (for example: openssl rand -hex 32), or leave out --host"
        )
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise ClaimsError(
            f"{TOKEN}: expected at least {SHORTEST_TOKEN} ASCII characters without spaces; make a longer one"
        )
    return token or None
