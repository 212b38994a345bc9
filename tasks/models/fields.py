"""Field types of our own."""

from __future__ import annotations

import functools
import zoneinfo
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

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
        except (InvalidOperation, TypeError, ValueError):
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


@functools.cache
def zones() -> frozenset[str]:
    """The IANA time zones that every part of the service knows."""
    # `localtime` is this machine's own zone by another name, and PostgreSQL does not know it.
    return frozenset(zoneinfo.available_timezones()) - {"localtime"}


def validate_zone(name: str) -> None:
    """Raises ValidationError unless `name` is an IANA time zone."""
    if name not in zones():
        raise ValidationError("%(name)s is no IANA time zone; write one such as Europe/Amsterdam.", code="invalid", params={"name": name})
