"""The service over HTTP: calls that renew their token, are patient with a busy service, and fail with an exit code."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from taskexport.cli import session
from taskexport.cli.failing import Exit, Failure
from taskexport.cli.session import Session

ANSWER_SECONDS = 60
TRIES = 4  # of a call that may be repeated
WAIT_MOST_SECONDS = 30
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
NETWORK_ERRORS = (OSError, http.client.HTTPException)


class Api:
    """One service as its session's owner sees it."""

    def __init__(self, opened: Session) -> None:
        self.session = opened
        host = urllib.parse.urlsplit(opened.url).hostname
        # A service on this machine is not reached through the proxy that leads out of it.
        self._opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if host in LOOPBACK else []))

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON answer. Raises Failure."""
        return self.ask(method, path, body, headers)[0]

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[dict[str, Any], Any]:
        """The JSON answer and its headers. Raises Failure."""
        with self.open(method, path, body, headers) as answer:
            try:
                return dict(json.load(answer)), answer.headers
            except (ValueError, TypeError):
                raise Failure(Exit.NETWORK, f"{self.session.url} does not answer like taskexport; is the address right?") from None
            except NETWORK_ERRORS as error:
                raise Failure(Exit.NETWORK, f"The answer broke off: {error}") from None

    def open(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The open answer; its headers have `headers`. Raises Failure."""
        repeats = method == "GET" or "Idempotency-Key" in (headers or {})
        renewed = False
        for attempt in range(1, TRIES + 1):
            try:
                return self._send(method, path, body, headers or {})
            except urllib.error.HTTPError as error:
                if error.code == 401 and self.session.refresh and not renewed:
                    self._renew()
                    renewed = True
                    continue
                if (error.code == 429 or (error.code >= 500 and repeats)) and attempt < TRIES:
                    time.sleep(_wait(error.headers.get("Retry-After"), attempt))
                    continue
                raise failure(error) from None
            except NETWORK_ERRORS as error:
                if not repeats or attempt == TRIES:
                    raise Failure(Exit.NETWORK, f"{self.session.url} cannot be reached: {getattr(error, 'reason', error)}") from None
                time.sleep(_wait(None, attempt))
            except ValueError:  # its text would show the token
                raise Failure(Exit.USAGE, "This cannot be sent: the token or the key holds what no header takes.") from None
        raise Failure(Exit.NETWORK, f"{self.session.url} is too busy; try again later.")

    def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        sent = dict(headers) | ({"Content-Type": "application/json"} if data is not None else {})
        request = urllib.request.Request(self.session.url + path, data, sent, method=method)  # noqa: S310 - the session's address was checked
        if self.session.access:
            # A store that a download is sent on to must not see it.
            request.add_unredirected_header("Authorization", f"Bearer {self.session.access}")
        return self._opener.open(request, timeout=ANSWER_SECONDS)

    def _renew(self) -> None:
        """Spends the refresh token, unless another process has done so meanwhile. Raises Failure."""
        with session.locked():
            kept = session.read()
            if kept and kept.url == self.session.url and kept.refresh != self.session.refresh:
                self.session = kept
                return
            try:
                with self._send("POST", "/api/token/refresh", {"refresh": self.session.refresh}, {}) as answer:
                    pair = json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code in {400, 401}:
                    raise Failure(Exit.NOT_SIGNED_IN, "The sign-in has ended; run login again.") from None
                raise failure(error) from None
            except (*NETWORK_ERRORS, ValueError) as error:
                raise Failure(Exit.NETWORK, f"{self.session.url} cannot be reached: {error}") from None
            self.session = replace(self.session, access=pair["access"], refresh=pair["refresh"])
            session.write(self.session)


def _wait(retry_after: str | None, attempt: int) -> float:
    told = float(retry_after) if retry_after and retry_after.isdecimal() else 0.5 * 2**attempt
    return min(told, WAIT_MOST_SECONDS)


def failure(error: urllib.error.HTTPError) -> Failure:
    """A refusal as the end of the command, in the service's own words."""
    try:
        body = json.loads(error.read(1 << 20))
    except (ValueError, *NETWORK_ERRORS):
        body = None
    body = body if isinstance(body, dict) else None
    message = str((body or {}).get("message") or f"The service answered {error.code}.")
    codes = {401: Exit.NOT_SIGNED_IN, 404: Exit.NOT_FOUND}
    return Failure(codes.get(error.code, Exit.NETWORK if error.code >= 500 else Exit.REFUSED), message, body)
