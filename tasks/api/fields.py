"""Input fields of contract 2 that JSON has no type for, each as strict as its documentation."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from taskexport import moments
from taskexport.api.strict import Text

MOST_ID = 2**63 - 1
ZIP_CHARS = 20
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def day(text: str) -> date:
    """A day such as 2024-01-31. Raises ValueError with the cure."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("Write a day such as 2024-01-31.")


class Id(serializers.IntegerField):
    """The id of a row, as a JSON number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MOST_ID, **options})

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return int(super().to_internal_value(data))


@extend_schema_field(OpenApiTypes.DATE)
class Day(Text):
    """A day."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return day(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid") from None


@extend_schema_field({"type": "string", "maxLength": 40})
class Time(Text):
    """A time: RFC 3339, `Y-m-d H:i:s` in UTC, or a day, which is its first moment."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return moments.moment(super().to_internal_value(data), spaced_is_utc=True).at
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid") from None

    def to_representation(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else value


@extend_schema_field({"oneOf": [{"type": "string", "maxLength": ZIP_CHARS}, {"type": "integer", "minimum": 0}]})
class Zip(Text):
    """A postal code, a number or a text; kept as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": ZIP_CHARS, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, int) and not isinstance(data, bool) and 0 <= data < 10**ZIP_CHARS:
            data = str(data)
        return super().run_validation(data)


class Code(serializers.RegexField):
    """Some letters that stand for a state or a country, or an empty text."""

    def __init__(self, least: int, most: int, **options: Any) -> None:
        letters = f"{{{least},{most}}}" if most > least else f"{{{least}}}"
        said = f"{least} or {most}" if most > least else str(least)
        super().__init__(rf"^[A-Za-z]{letters}\Z", **{"allow_blank": True, "trim_whitespace": False, **options})
        self.error_messages["invalid"] = f"Write {said} letters."

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data is not serializers.empty and not isinstance(data, str):
            self.fail("invalid")
        return super().run_validation(data)
