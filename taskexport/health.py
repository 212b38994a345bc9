"""`/livez` and `/readyz`, for whoever watches over the processes.

They answer before anything else looks at the request: a probe comes by IP address, over HTTP, and without a name that
ALLOWED_HOSTS knows.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from exports.services import readiness


class Health:
    """The outermost middleware: answers GET and HEAD of both paths, and hands everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = ANSWERS.get(request.path_info.removesuffix("/"))
        if answer is None:
            return self._get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        response = answer()
        response["Cache-Control"] = "no-store"
        return response


def livez() -> HttpResponse:
    """200 while this process answers at all; nothing else is asked, so that no outage elsewhere restarts it."""
    return JsonResponse({"status": "alive"})


def readyz() -> HttpResponse:
    """200 if every check is well, else 503; the body says which are not."""
    checks = readiness.look()
    is_ready = all(check.is_ok for check in checks)
    shown = {}
    for check in checks:
        extras = {"detail": check.detail or None, "seconds": check.seconds}
        shown[check.name] = {"ok": check.is_ok} | {key: value for key, value in extras.items() if value is not None}
    return JsonResponse({"status": "ready" if is_ready else "not ready", "checks": shown}, status=200 if is_ready else 503)


ANSWERS: dict[str, Callable[[], HttpResponse]] = {"/livez": livez, "/readyz": readyz}
