"""Field types of our own."""

from __future__ import annotations

import functools
import math
import zoneinfo
from decimal import Context, Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.fields import InvalidJSONInput

# A double holds every decimal of 15 significant digits exactly; SQLite stores numbers as doubles.
FIFTEEN_DIGITS = Context(prec=15)


def plain(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros, such as `-76.6692365628603` or `0`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


class PlainDecimalField(models.Field):
    """An exact decimal of up to 15 significant digits, stored without trailing zeros; longer input is rounded half-even.

    `numeric` on PostgreSQL, `real` on SQLite, where the shortest text of a double gives the same 15 digits back.
    """

    description = "Decimal number"

    def db_type(self, connection: Any) -> str:
        return "real" if connection.vendor == "sqlite" else "numeric"

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        try:
            number = FIFTEEN_DIGITS.create_decimal(repr(value) if isinstance(value, float) else value)
        except (ArithmeticError, TypeError, ValueError):
            number = Decimal("NaN")
        if not number.is_finite():
            raise ValidationError("Write a decimal number, such as -76.61.", code="invalid")
        return Decimal(plain(number))

    def get_prep_value(self, value: Any) -> Decimal | None:
        value = super().get_prep_value(value)
        return self.to_python(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        return float(value) if value is not None and connection.vendor == "sqlite" else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        return self.to_python(value)

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": forms.DecimalField, **kwargs})


MOST_DEPTH = 50  # of values inside values
TOO_DEEP = f"It is nested more than {MOST_DEPTH} deep; make it flatter."


class KeptJSONField(models.JSONField):
    """JSON as both databases keep it and every format writes it; what `require_kept` refuses is refused in forms and on saving."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if not hasattr(value, "as_sql"):
            try:
                require_kept(value)
            except ValidationError as error:
                raise ValidationError({self.name: error}) from None
        return super().get_db_prep_save(value, connection)

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": KeptJSONFormField, **kwargs})


class KeptJSONFormField(forms.JSONField):
    """Such JSON in a form."""

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value)
        except RecursionError:
            raise ValidationError(TOO_DEEP, code="not_kept") from None
        except ValueError:  # Python reads no longer one
            raise ValidationError("A number in it has more than 4,000 digits; write it as a text.", code="not_kept") from None
        require_kept(found)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            found = super().bound_data(data, initial)
            require_kept(found)
        except (RecursionError, ValueError, ValidationError):  # shown as it was typed: read and written anew it may be no text that can be sent
            return InvalidJSONInput(data)
        return found


def require_kept(value: Any, depth: int = 0) -> None:
    """Raises ValidationError, with the cure, for JSON that a database would refuse or change: a NUL, half a character, a number that is none."""
    if depth > MOST_DEPTH:
        raise ValidationError(TOO_DEEP, code="not_kept")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise ValidationError("A text in it holds a NUL character or half of a surrogate pair; remove it.", code="not_kept")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError("A number in it is infinite or none; write a number, a text or null.", code="not_kept")
    elif isinstance(value, dict):
        for key, each in value.items():
            require_kept(key, depth + 1)
            require_kept(each, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            require_kept(each, depth + 1)


@functools.cache
def zones() -> frozenset[str]:
    """The IANA time zones that every part of the service knows."""
    # `localtime` is this machine's own zone by another name, and PostgreSQL does not know it.
    return frozenset(zoneinfo.available_timezones()) - {"localtime"}


def validate_zone(name: str) -> None:
    """Raises ValidationError unless `name` is an IANA time zone."""
    if name not in zones():
        raise ValidationError("%(name)s is no IANA time zone; write one such as Europe/Amsterdam.", code="invalid", params={"name": name})
