"""The OpenAPI document of the running service, for everybody."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_written: dict[str, bytes] = {}


class DocumentView(SpectacularAPIView):
    """YAML or JSON, by `Accept` or `?format=`. Each is made once a process: that takes seconds, and nobody need sign in to ask for it.

    No other parameter counts: the library would put a `?version=` into a header as it stands.
    """

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The document."""
        renderer: Any = request.accepted_renderer
        kind = renderer.media_type
        if kind not in _written:
            _written[kind] = renderer.render(self.generator_class(urlconf=self.urlconf).get_schema(public=True), kind, {})
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        name = f'inline; filename="taskexport.{renderer.format}"'
        return HttpResponse(_written[kind], content_type=f"{kind}{charset}", headers={"Content-Disposition": name})
