"""Values inside JSON, and texts that say a time or a number."""

from __future__ import annotations

import functools
import json
import re
from decimal import Decimal
from typing import Any

from django.db.models import CharField, DateTimeField, Func, TextField, Value

from exports.expressions.base import Templated
from tasks.models.fields import FIFTEEN_DIGITS, PlainDecimalField, plain


class JsonText(Func):
    """A key's value in a JSON object as text: strings as they are, other values as jsonb writes them; null where it is null or missing."""

    # KeyTextTransform would take a key of digits for an array's index.
    template = "(%(expressions)s::text)"
    arg_joiner = " ->> "
    output_field = TextField()

    def __init__(self, source: Any, key: str) -> None:
        super().__init__(source, Value(key, CharField()))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="json_text", template="%(function)s(%(expressions)s)", arg_joiner=", ")


@functools.lru_cache(maxsize=16)  # the columns of one row ask for the same text
def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def json_text(text: str | None, key: str) -> str | None:
    """SQLite's `->>`: what PostgreSQL says for a jsonb object."""
    found = _parsed(text) if text else None
    value = found.get(key) if isinstance(found, dict) else None
    return value if value is None or isinstance(value, str) else _jsonb(value)


def _jsonb(value: Any) -> str:
    """A value as jsonb writes it: shorter keys first, then by their bytes; numbers without exponent."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_jsonb(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_jsonb, value)) + "]"
    if isinstance(value, Decimal):
        return format(value if value else abs(value), "f")  # numeric knows no -0
    return json.dumps(value, ensure_ascii=False)


# Only what casts without an error: days that exist, and no more digits than both databases keep.
_DAY = (
    r"([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
TIME_PATTERN = rf"(?!0000){_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?Z"
DECIMAL_PATTERN = r"-?[0-9]{1,30}(\.[0-9]{1,30})?"
_TIME, _DECIMAL = re.compile(TIME_PATTERN, re.ASCII), re.compile(DECIMAL_PATTERN, re.ASCII)


class TextToTime(Templated):
    """The time that a text in RFC 3339 and UTC says; null for any other text."""

    postgres = f"CASE WHEN {{c}} ~ '^({TIME_PATTERN})$' THEN ({{c}})::timestamptz END"
    sqlite = "text_to_time({c})"
    output_field = DateTimeField()


class TextToDecimal(Templated):
    """The decimal that a text says; null for any other text."""

    postgres = f"CASE WHEN {{c}} ~ '^({DECIMAL_PATTERN})$' THEN trim_scale(({{c}})::numeric) END"
    sqlite = "text_to_decimal({c})"
    output_field = PlainDecimalField()


def text_to_time(text: str | None) -> str | None:
    """The time as SQLite stores one."""
    if text is None or not _TIME.fullmatch(text):
        return None
    seconds, _, fraction = text[:-1].replace("T", " ").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction.ljust(6, '0')}" if fraction else seconds


def text_to_decimal(text: str | None) -> float | None:
    """The decimal as SQLite stores one."""
    if text is None or not _DECIMAL.fullmatch(text):
        return None
    return float(plain(FIFTEEN_DIGITS.create_decimal(text)))
