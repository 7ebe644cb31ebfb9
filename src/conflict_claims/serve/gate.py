"""What every request passes first: headers and measures, the token, a place, and the size of its body."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conflict_claims.serve.batcher import Batcher, Full
from conflict_claims.serve.limits import Limits
from conflict_claims.serve.measures import Measures

PROTECTED = ("/predict", "/model", "/metrics")
"""What the token guards. The page, the documentation and /health say nothing of what was read."""
PATHS = ("/", "/docs", "/openapi.json", "/health", *PROTECTED)
POLICY = "default-src 'none'; script-src 'self'; {style}; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
POLICY += "form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
DISCARDED = 16 * 1024 * 1024
"""So much of a refused body is read and thrown away: a client that is still sending does not hear the answer."""


class Refusal(Exception):  # noqa: N818 - an answer, no mistake of ours
    """A request that is not answered: status, one sentence, further headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Gate:
    """ASGI middleware in front of the routes."""

    def __init__(
        self, app: ASGIApp, *, batcher: Batcher, limits: Limits, token: str | None, measures: Measures
    ) -> None:
        self.app = app
        self.batcher, self.limits, self.measures = batcher, limits, measures
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500
        path = scope["path"] if scope["path"] in PATHS else "other"

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(scope["path"])]
            await send(message)

        try:
            await self._pass(scope, receive, send_with_headers)
        finally:
            self.measures.requests.labels(path, str(status)).inc()
            self.measures.seconds.labels(path).observe(time.perf_counter() - begun)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_token(scope)
            if scope["method"] not in ("POST", "PUT", "PATCH"):
                await self.app(scope, receive, send)
                return
            try:
                with self.batcher.place():
                    body = await self._read(scope, receive)
                    if body is not None:
                        await self.app(scope, _replaying(body, receive), send)
            except Full as full:
                raise Refusal(503, f"{full}; try again", retry_after="1") from None
        except Refusal as refusal:
            if await _discard(receive):
                answer = JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers)
                await answer(scope, receive, send)

    def _check_token(self, scope: Scope) -> None:
        if self._token is not None and scope["path"].startswith(PROTECTED):
            given = dict(scope["headers"]).get(b"authorization", b"")
            scheme, _, credentials = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(credentials.strip(), self._token):
                raise Refusal(
                    401,
                    "expected the header 'Authorization: Bearer TOKEN' with this service's token",
                    www_authenticate="Bearer",
                )

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None where the client has gone."""
        most = self.limits.body_bytes
        too_large = Refusal(413, f"expected a body of at most {most:,} bytes; send fewer or shorter texts at a time")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise Refusal(
                408, f"the body did not arrive within {self.limits.body_seconds:g} seconds", connection="close"
            ) from None

    def _headers(self, path: str) -> list[tuple[bytes, bytes]]:
        # the documentation page's library writes style attributes; nothing else needs them
        style = "style-src 'self' 'unsafe-inline'" if path == "/docs" else "style-src 'self'"
        added = HEADERS | {
            b"content-security-policy": POLICY.format(style=style).encode(),
            b"cache-control": b"no-cache",
        }
        if self.batcher.stopping:
            added[b"connection"] = b"close"
        return list(added.items())


def _replaying(body: bytes, receive: Receive) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """A `receive` that gives the body first, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _discard(receive: Receive) -> bool:
    """Read on, for a while, what a refused client still sends; whether it is still there."""
    left = DISCARDED
    try:
        async with asyncio.timeout(5):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return False
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return True
    except TimeoutError:
        pass
    return True
