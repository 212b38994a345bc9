"""`/d/{token}`: a signed link to a file, bound to whom it was made for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.views.decorators.csrf import csrf_exempt

from exports.api.jobs import send
from exports.services import files
from taskexport.api.errors import plain_response
from taskexport.api.views import route
from taskexport.errors import AppError


class MethodNotAllowed(AppError):
    """A link is only read: 405."""

    status = 405
    code = "method_not_allowed"

    def __init__(self) -> None:
        super().__init__("A link answers GET and HEAD.")


@csrf_exempt
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """The file behind a link; its owner's rights are asked again now."""
    try:
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed()
        file, user = files.by_link(token)
        url = files.store_link(file) if request.method == "GET" else None
        if url:
            files.log_download(user, file, "link")
            # Made for this one click: neither kept nor told to whatever is opened from there.
            return HttpResponseRedirect(url, headers={"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"})
        return send(request, user, file, "link")
    except AppError as error:
        response = plain_response(error)
        if error.status == 405:
            response["Allow"] = "GET, HEAD"
        return response


urlpatterns: list[URLPattern] = route("d/<str:token>", follow, "link")
