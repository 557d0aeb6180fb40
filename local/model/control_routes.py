"""The routes that set the offline model's behaviour and count its calls, for whoever started it.

Any web page and any process of this machine can send a request to a port of loopback. So these routes ask
for a secret that the starter chose: `Authorization: Bearer SECRET`. Started without one, they are closed.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model import SECRET_VARIABLE, ApiError
from local.model.behaviour import Behaviour, Calls, Conduct
from local.model.transport import json_response, parse

Handler = Callable[[Request], Awaitable[Response]]


def control_routes(conduct: Conduct, calls: Calls, secret: str | None) -> list[Route]:
    """Returns the routes; `secret` is what opens them, and None closes them for everybody."""

    async def read_behaviour(_: Request) -> Response:
        return json_response(conduct.behaviour.model_dump(by_alias=True))

    async def put_behaviour(request: Request) -> Response:
        conduct.set(await parse(request, Behaviour))
        return await read_behaviour(request)

    async def reset_behaviour(request: Request) -> Response:
        conduct.set(Behaviour())
        return await read_behaviour(request)

    async def read_calls(_: Request) -> Response:
        return json_response(calls.as_json())

    async def reset_calls(request: Request) -> Response:
        calls.reset()
        return await read_calls(request)

    def guarded(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            _require(request, secret)
            return await handler(request)

        return handle

    return [
        Route("/offline/behaviour", guarded(read_behaviour)),
        Route("/offline/behaviour", guarded(put_behaviour), methods=["PUT"]),
        Route("/offline/behaviour", guarded(reset_behaviour), methods=["DELETE"]),
        Route("/offline/calls", guarded(read_calls)),
        Route("/offline/calls", guarded(reset_calls), methods=["DELETE"]),
    ]


def _require(request: Request, secret: str | None) -> None:
    if secret is None:
        raise ApiError(
            f"The controls are closed: the offline model was started without {SECRET_VARIABLE}.",
            status=403,
            code="controls_closed",
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), secret.encode()):
        raise ApiError(
            f"The controls ask for `Authorization: Bearer` and the {SECRET_VARIABLE} of who started this.",
            status=401,
            code="invalid_secret",
            headers={"WWW-Authenticate": "Bearer"},
        )
