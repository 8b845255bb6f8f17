"""The page and its API. It reads only, answers only this machine, and trusts nothing that a model wrote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from rlvr.types import DataError
from rlvr.viewer.filters import Filter, Sort
from rlvr.viewer.journal import Journal
from rlvr.viewer.library import Library
from rlvr.viewer.rollout import finite

STATIC = Path(__file__).parent / "static"
# A name that an attacker's page resolves to this machine is none of these (DNS rebinding). The port is
# left free: it differs behind `ssh -L`.
HOSTS = ["127.0.0.1", "localhost"]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Kind = Literal["train", "heldout"]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=2**31)]
Wanted = Annotated[Filter, Depends()]


def _source(request: Request, run: int, stage: str, kind: Kind) -> Journal:
    library: Library = request.app.state.library
    return library.journal(run, stage, kind)


Source = Annotated[Journal, Depends(_source)]


def create_app(library: Library) -> FastAPI:
    """The web application over the runs of `library`."""
    app = FastAPI(openapi_url=None)  # and so no pages that load their scripts from elsewhere
    app.state.library = library
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
    app.middleware("http")(_guard)
    app.exception_handler(DataError)(_not_there)
    _add_runs(app, library)
    _add_rollouts(app, library)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.get("/")(lambda: FileResponse(STATIC / "index.html"))
    return app


async def _guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.method not in ("GET", "HEAD"):
        response: Response = JSONResponse(
            {"error": "this server only reads: GET"}, 405, {"Allow": "GET, HEAD"}
        )
    else:
        response = await call(request)
    response.headers.update(HEADERS)
    return response


async def _not_there(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _answer(content: Any) -> JSONResponse:
    return JSONResponse(finite(content))


def _add_runs(app: FastAPI, library: Library) -> None:
    @app.get("/api/runs")
    def runs() -> Response:
        return _answer({"runs": library.runs()})

    @app.get("/api/curve")
    def curve(run: int, stage: str, kind: Kind, metric: str | None = None) -> Response:
        return _answer(library.curve(run, stage, kind, metric))

    @app.get("/api/journal")
    def journal(run: int, stage: str, kind: Kind) -> Response:
        of = library.journal(run, stage, kind)
        return _answer({**asdict(of.gathered()), "parts": of.parts(), **of.values()})

    @app.get("/api/problems")
    def problems(
        run: int,
        stage: str,
        kind: Kind,
        other_run: int,
        other_stage: str,
        other_kind: Kind,
        search: str = "",
        limit: Limit = 200,
    ) -> Response:
        """Those of the first journal that the other has as well, with `search` in their id or text."""
        left = library.journal(run, stage, kind).problems()
        right = library.journal(other_run, other_stage, other_kind).problems()
        sought = search.lower()
        both = [
            name
            for name in left
            if name in right and (sought in name.lower() or sought in left[name]["problem"].lower())
        ]
        shown = [{"problem_id": name, "left": left[name], "right": right[name]} for name in both[:limit]]
        return _answer({"count": len(both), "problems": shown})


def _add_rollouts(app: FastAPI, library: Library) -> None:
    @app.get("/api/rollouts")
    def rollouts(
        source: Source,
        wanted: Wanted,
        sort: Sort = "step",
        descending: bool = True,
        offset: Offset = 0,
        limit: Limit = 50,
    ) -> Response:
        totals, rows = source.rollouts(wanted, sort, descending, offset, limit)
        return _answer({**totals, "rollouts": rows})

    @app.get("/api/groups")
    def groups(source: Source, wanted: Wanted, offset: Offset = 0, limit: Limit = 50) -> Response:
        count, page = source.groups(wanted, offset, limit)
        return _answer({"count": count, "groups": page})

    @app.get("/api/rollout")
    def rollout(run: int, stage: str, kind: Kind, step: int, row: int) -> Response:
        found = library.rollout(run, stage, kind, step, row)
        group = Filter(step_min=step, step_max=step, group=found["group"])
        totals, mates = library.journal(run, stage, kind).rollouts(group, "step", True, 0, 200)
        return _answer({**found, "mates": mates, "group_size": totals["count"]})
