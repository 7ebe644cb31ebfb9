"""The routes: predict, what the model is, health, metrics, the page and the API's documentation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from conflict_claims import __version__
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import ClaimModel
from conflict_claims.serve import schema
from conflict_claims.serve.batcher import Batcher, Job
from conflict_claims.serve.gate import Gate
from conflict_claims.serve.limits import Limits
from conflict_claims.serve.measures import Measures

STATIC = Path(__file__).parent / "static"
PROBLEMS = {
    400: "The body is no JSON that can be read.",
    401: "No token, or another than this service's.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    422: "Not what was expected; the answer says where and what.",
    503: "Busy, or stopping; the header Retry-After says when to try again.",
}


def create_app(model: ClaimModel, name: str, *, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        model: a loaded model.
        name: what to call it, for example its folder.
        limits: what the service takes on at once.
        token: the bearer token that /predict, /model and /metrics then ask for.
    """
    limits = limits or Limits()
    measures = Measures()
    batcher = Batcher(model, limits.waiting, measures)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        batcher.stop()

    app = FastAPI(
        title="conflict-claims",
        version=__version__,
        description="Which sentences of a conflict report claim that people were hurt, say who holds a place, quote an "
        "authority, or come from someone who was there? A label says what is claimed, never whether it is true.",
        license_info={"name": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        lifespan=running,
    )
    app.state.batcher = batcher
    app.add_middleware(Gate, batcher=batcher, limits=limits, token=token, measures=measures)
    guard = [Depends(HTTPBearer(auto_error=False, description="The service's token"))] if token else []
    _add_model(app, model, name, limits, batcher, guard)
    _add_observation(app, measures, batcher, guard)
    _add_pages(app)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClaimsError, _refused)
    app.add_exception_handler(Exception, _failed)
    return app


def _add_model(app: FastAPI, model: ClaimModel, name: str, limits: Limits, batcher: Batcher, guard: list[Any]) -> None:
    manifest = model.manifest

    @app.post(
        "/predict",
        tags=["Predict"],
        response_model=schema.Answer,
        responses=_problems(400, 408, 413, 422, 503, *_of(guard)),
        dependencies=guard,
    )
    async def predict(request: schema.Request) -> Response:
        """Say which claims each sentence carries: of `texts` (sentences) or of `articles` (which are split)."""
        if isinstance(request, schema.Articles):
            job = Job(request.articles, sentences=False, explain=request.explain)
        else:
            job = Job(request.texts, sentences=True, explain=request.explain)
        return JSONResponse({"results": await asyncio.wrap_future(batcher.submit(job))})

    @app.get("/model", tags=["Predict"], responses=_problems(*_of(guard)), dependencies=guard)
    async def describe_model() -> schema.Model:
        """Which model answers, its labels with their thresholds, and the limits of this service."""
        return schema.Model(
            name=name,
            kind=manifest.kind,
            labels=list(model.labels),
            thresholds=manifest.thresholds,
            package_version=manifest.package_version,
            corpus_fingerprint=manifest.corpus_fingerprint,
            limits=limits.as_dict(),
        )


def _add_observation(app: FastAPI, measures: Measures, batcher: Batcher, guard: list[Any]) -> None:
    @app.get(
        "/health", tags=["Watch"], responses={503: {"model": schema.Health, "description": "Stopping, or failed."}}
    )
    async def health(response: Response) -> schema.Health:
        """Whether requests are answered; needs no token."""
        status = "failed" if not batcher.alive else "stopping" if batcher.stopping else "ok"
        response.status_code = 200 if status == "ok" else 503
        return schema.Health(status=status)

    text: dict[int | str, dict[str, Any]] = {
        200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }

    @app.get(
        "/metrics", tags=["Watch"], response_class=Response, responses=text | _problems(*_of(guard)), dependencies=guard
    )
    async def metrics() -> Response:
        """Counters and histograms for Prometheus."""
        return Response(measures.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC))
    app.mount("/docs/assets", StaticFiles(directory=str(files("fastapi_offline") / "static")))

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return FileResponse(STATIC / "docs.html")


def _of(guard: list[Any]) -> tuple[int, ...]:
    return (401,) if guard else ()


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": schema.Problem, "description": PROBLEMS[status]} for status in statuses}


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": schema.in_words(list(error.errors()))}, 422)


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 422)


async def _failed(request: Request, error: Exception) -> Response:
    # uvicorn closes the connection after an exception; unsaid, a client's next request on it would be lost
    headers = {"connection": "close"}
    return JSONResponse({"detail": "the service failed at this request; its log says more"}, 500, headers)
