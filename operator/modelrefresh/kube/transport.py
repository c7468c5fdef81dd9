"""One HTTP request to the API server: bounded, measured, and its failure as one of our errors.

Knows `kubernetes.aio`'s low-level client, timeouts, the number of requests in flight and the
meaning of HTTP answers. Never retries: the work queue does. Knows no verbs and no leadership.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from modelrefresh import errors, metrics
from modelrefresh.kube.kinds import Kind
from modelrefresh.kube.port import Document

USER_AGENT = "modelrefresh-operator"
_RETRY_AFTER_LIMIT = 300.0
_MESSAGE_LIMIT = 2000
_CLASSES: Mapping[int, type[errors.ApiError]] = {
    HTTPStatus.UNAUTHORIZED: errors.ForbiddenError,
    HTTPStatus.FORBIDDEN: errors.ForbiddenError,
    HTTPStatus.NOT_FOUND: errors.NotFoundError,
    HTTPStatus.CONFLICT: errors.ConflictError,
}
"""The rest of 4xx is InvalidError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked; the body travels beside it."""

    verb: str
    """Of the port; the label of metrics and errors."""
    method: str
    kind: Kind
    path: str
    query: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


async def configure() -> Any:  # noqa: ANN401 -- the library's Configuration is untyped
    """How the API server is reached: from inside the cluster if there, else by the kubeconfig."""
    configuration = kubernetes_client.Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    else:
        path = os.environ.get("KUBECONFIG")
        await kubernetes_config.load_kube_config(config_file=path, client_configuration=configuration)
    return configuration


async def token(configuration: Any) -> str | None:  # noqa: ANN401 -- as above
    """The bearer token that is valid now; the token file is read again after a minute."""
    header = (await configuration.auth_settings()).get("BearerToken", {}).get("value")
    return header.split(" ", 1)[1].strip() if header else None


class Transport:
    """Sends requests over one connection pool."""

    def __init__(self, configuration: Any, *, in_flight: int, seconds: float) -> None:  # noqa: ANN401 -- as above
        """Allow so many requests at once, each for so many seconds at most."""
        configuration.retries = None
        self._api = kubernetes_client.ApiClient(configuration)
        self._api.user_agent = USER_AGENT
        self._in_flight = asyncio.Semaphore(in_flight)
        self._seconds = seconds

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    def slot(self) -> asyncio.Semaphore:
        """Enter this to have a place among the requests in flight."""
        return self._in_flight

    async def send(self, request: Request, *, body: object = None, seconds: float | None = None) -> Document:
        """Send one request and parse its answer.

        Raises:
            ApiError: the class says why.
        """
        started = time.monotonic()
        code = "none"
        try:
            status, headers, data = await self._exchange(request, body, min(seconds or self._seconds, self._seconds))
            code = str(status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.UnavailableError(f"{_spell(request)}: no answer: {error!r}") from error
        finally:
            labels = (request.verb, request.kind.kind, code)
            metrics.API_SECONDS.labels(*labels).observe(time.monotonic() - started)
        document = _parse(request, data)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _error(request, status, retry_after=headers.get("Retry-After"), document=document)
        return document

    async def _exchange(self, request: Request, body: object, seconds: float) -> tuple[int, Any, bytes]:
        async with asyncio.timeout(seconds):
            method, url, headers, payload, _ = await self._api.param_serialize(
                method=request.method,
                resource_path=request.path,
                query_params=list(request.query),
                header_params={"Accept": "application/json", "Content-Type": request.content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(
                method, url, headers, payload, _request_timeout=aiohttp.ClientTimeout(total=seconds)
            )
            return response.status, response.headers, await response.read()


def _parse(request: Request, data: bytes) -> Document:
    try:
        document = json.loads(data) if data else {}
    except ValueError:
        # Proxies and overloaded servers answer in plain text; the status code says enough.
        document = {"message": data.decode(errors="replace")}
    if not isinstance(document, dict):
        raise errors.UnavailableError(f"{_spell(request)}: the answer is not an object: {document!r:.200}")
    return document


def _error(request: Request, status: int, *, retry_after: str | None, document: Document) -> errors.ApiError:
    message = f"{_spell(request)}: {status} {document.get('reason', '')}: {document.get('message', '')}"[
        :_MESSAGE_LIMIT
    ]
    faulty = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.TOO_MANY_REQUESTS or (faulty and retry_after):
        return errors.ThrottledError(message, retry_after=_seconds(retry_after))
    # 410 is an expired page token: the list must be started anew, as after an outage.
    if faulty or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE}:
        return errors.UnavailableError(message)
    return _CLASSES.get(status, errors.InvalidError)(message)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1), 0.1), _RETRY_AFTER_LIMIT)
    except ValueError:
        return 1.0


def _spell(request: Request) -> str:
    return f"{request.verb} {request.kind.kind} {request.path}"
