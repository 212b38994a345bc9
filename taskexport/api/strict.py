"""Strict input: JSON, bodies and query parameters that refuse what they do not know."""

from __future__ import annotations

import json
import math
from typing import Any

from django.conf import settings
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from taskexport.errors import FieldError, Invalid, TooLarge

NON_FIELD = "non_field_errors"  # of a whole shape or list
MAX_DEPTH = 20
MAX_NODES = 400_000  # more than 10,000 tasks with all their fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # 1e400: no database keeps what it would become
        raise ValueError("a number is too large")
    return number


class StrictJSONParser(BaseParser):
    """JSON without NUL, lone surrogates, doubled keys, infinities, or more depth than anybody means. An empty body is `{}`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)  # Django itself minds this limit only for request.body
        if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise TooLarge(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024 // 1024} MB.")
        return decoded(raw) if raw else {}


def decoded(raw: bytes) -> Any:
    """The strict JSON that these bytes are. Raises Invalid."""
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise Invalid(f"The JSON is nested deeper than {MAX_DEPTH} levels.", code="invalid_json") from None
    except (ValueError, UnicodeDecodeError):
        raise Invalid("The body is not valid JSON in UTF-8.", code="invalid_json") from None
    _check(body)
    return body


def _check(body: Any) -> None:
    level, nodes = [body], 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                check_text(value)
            elif isinstance(value, dict):
                for key in value:
                    check_text(key)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        nodes += len(below)
        if nodes > MAX_NODES:
            raise Invalid(f"The JSON has more than {MAX_NODES} values.", code="invalid_json")
        if not below:
            return
        level = below
    raise Invalid(f"The JSON is nested deeper than {MAX_DEPTH} levels.", code="invalid_json")


def check_text(text: str) -> None:
    """Raises Invalid for what no database keeps: NUL and lone surrogates."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid("The text holds a NUL character or half of a surrogate pair; remove it.", code="invalid_text")


class Text(serializers.CharField):
    """A JSON string; numbers and booleans are not taken for one, and spaces stay as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """true or false, and nothing that merely reads like it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class StrictSerializer(serializers.Serializer):
    """An input shape that refuses keys it does not know, so that a typo never widens what happens."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            if self.parent is not None:  # the fault has a path, which the outermost shape knows
                raise exceptions.ValidationError({NON_FIELD: ["Write a JSON object."]})
            raise Invalid("The body must be a JSON object.", code="invalid_json")
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            known = ", ".join(sorted(self.fields))
            if self.parent is not None:
                said = f"There is no such field; the fields are {known}."
                raise exceptions.ValidationError({key: [exceptions.ErrorDetail(said, "unknown")] for key in unknown})
            raise Invalid(
                f"{unknown[0]}: there is no such field; the fields are {known}.",
                fields=[FieldError(key, "unknown", f"There is no such field; the fields are {known}.") for key in unknown],
            )
        return super().to_internal_value(data)


def parse_body(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The checked body. Raises Invalid with every field's error."""
    return parse_data(serializer, request.data)


def parse_data(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The same for JSON that came in another way."""
    if data is None:  # which a serializer takes for a missing field
        raise Invalid("The body must be a JSON object.", code="invalid_json")
    shape = serializer(data=data)
    try:
        shape.is_valid(raise_exception=True)
    except exceptions.ValidationError as error:
        raise flatten(error.detail) from None
    return dict(shape.validated_data)


def parse_query(request: Request, known: set[str]) -> dict[str, str]:
    """The query's parameters, each once. Raises Invalid for one that is unknown or repeated."""
    for key, values in request.query_params.lists():
        check_text(key)
        if key not in known:
            raise Invalid.field(key, f"There is no such parameter; the parameters are {', '.join(sorted(known))}.", "unknown")
        if len(values) > 1:
            raise Invalid.field(key, "Send this parameter once.", "repeated")
        check_text(values[0])
    return {key: request.query_params[key] for key in request.query_params}


def whole_number(values: dict[str, str], key: str, default: int, most: int) -> int:
    """A positive whole number among the parameters. Raises Invalid."""
    text = values.get(key, str(default))
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else 0
    if not 1 <= number <= most:
        raise Invalid.field(key, f"Write a whole number from 1 to {most}.")
    return number


def flatten(detail: Any) -> Invalid:
    """A serializer's nested errors as one Invalid with dotted field paths."""
    fields = list(_flatten(detail, ""))
    return Invalid("; ".join(f"{field.field}: {field.detail}" if field.field else field.detail for field in fields), fields=fields)


def _flatten(detail: Any, at: str) -> Any:
    if isinstance(detail, dict):
        for key, value in detail.items():
            yield from _flatten(value, at if key == NON_FIELD else f"{at}.{key}" if at else str(key))
    elif isinstance(detail, list):
        for number, value in enumerate(detail):
            yield from _flatten(value, at if isinstance(value, str) else f"{at}.{number}")
    else:
        yield FieldError(at, getattr(detail, "code", "invalid"), str(detail))


class JSONOnly(BaseContentNegotiation):
    """JSON, whatever `Accept` says: an integrator's odd header is no reason to answer 406."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        kind = (request.content_type or "application/json").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
