"""A REST client that holds every answer against the OpenAPI document: status, shape, no field that it does not name."""

from __future__ import annotations

import copy
import functools
import re
import uuid
from datetime import datetime
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.test import APIClient

_formats = FormatChecker(formats=())
UNDOCUMENTED = {405, 411, 500}  # of every route; a 500 fails the test that sees it anyway


@_formats.checks("date-time", raises=ValueError)
def _is_time_in_utc(value: Any) -> bool:
    return not isinstance(value, str) or (value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None)


@_formats.checks("uuid", raises=ValueError)
def _is_uuid(value: Any) -> bool:
    return not isinstance(value, str) or str(uuid.UUID(value)) == value


@functools.cache
def document() -> dict[str, Any]:
    """The generated document."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))


@functools.cache
def _components() -> dict[str, Any]:
    found = copy.deepcopy(document()["components"])
    for schema in found["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return dict(found)


@functools.cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    # A fixed path wins over one with a parameter.
    paths = sorted(document()["paths"].items(), key=lambda pair: pair[0].count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), item) for path, item in paths]


def operation(method: str, path: str) -> dict[str, Any] | None:
    """What the document says of this call; None if it does not know it."""
    for pattern, item in _operations():
        if pattern.fullmatch(path.rstrip("/")):
            return item.get({"head": "get"}.get(method.lower(), method.lower()))
    return None


def problems(method: str, path: str, response: Any) -> list[str]:
    """How the answer differs from the document."""
    documented = operation(method, path)
    if documented is None or response.status_code in UNDOCUMENTED:
        return []
    expected = documented["responses"].get(str(response.status_code))
    if expected is None:
        return [f"{method} {path}: {response.status_code} is not documented"]
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    content = expected.get("content", {})
    if method == "HEAD" or (not content and not getattr(response, "content", b"")):
        return []
    if kind not in content:
        return [f"{method} {path}: {response.status_code} {kind} is not documented"]
    if kind != "application/json":
        return []
    validator = Draft202012Validator({**content[kind]["schema"], "components": _components()}, format_checker=_formats)
    return [f"{method} {path}: {error.json_path}: {error.message}" for error in validator.iter_errors(response.json())]


class CheckedClient(APIClient):
    """Fails the test whose answer is not as documented."""

    def request(self, **kwargs: Any) -> Any:
        response = super().request(**kwargs)
        found = problems(kwargs["REQUEST_METHOD"], kwargs["PATH_INFO"], response)
        assert not found, "\n".join(found)
        return response
