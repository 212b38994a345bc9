"""Records that integrators load: checked by what their source declares, put in or replaced by their own ids, all of a call or none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from exports.cells import Kind
from exports.datasets.chosen import is_text
from exports.datasets.records import FIELDS, MAIN_TIMES, RECORDS
from exports.services.schedules import recurrence
from taskexport.errors import FieldError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import DataRecord, Organization, User
from tasks.models.fields import plain

MOST_RECORDS = 10_000
ID_LENGTH = 200
TEXT_LENGTH = 10_000
MOST_KEYS = 200  # of a record's `data`
DIGITS = 15  # significant ones, which every database and spreadsheet keeps
MOST_ERRORS = 100
AT_ONCE = 500  # rows of one statement
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)([Zz]|[+-]\d{2}:?\d{2})?)?", re.ASCII)


@dataclass(frozen=True)
class Loaded:
    """What a call did."""

    created: int
    updated: int


def upsert(user: User, organization: Organization, index: str, given: Any) -> Loaded:
    """Puts the records in, or wholly in place of those with the same `external_id`; may be called again.

    A record is `external_id`, the source's declared fields (null or left out: missing), and `data`, an object of whatever else there
    is. A time without a zone is in the organization's. Raises Invalid with a path for each error, NotFound, Forbidden.
    """
    if index not in FIELDS:
        raise NotFound(f"There is no such index; write one of: {', '.join(FIELDS)}.")
    access.require(user, Action.WRITE, organization)
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_RECORDS:
        raise Invalid.field("records", f"Write a list of 1 to {MOST_RECORDS} records.")
    check = _Check(index, organization)
    rows = [check.record(each, f"records[{number}]") for number, each in enumerate(given)]
    if check.errors:
        shown = check.errors[:MOST_ERRORS]
        more = f"; and {len(check.errors) - len(shown)} more" if len(check.errors) > len(shown) else ""
        raise Invalid("; ".join(f"{error.field}: {error.detail}" for error in shown[:10]) + more, fields=shown)
    rows.sort(key=lambda row: row.external_id)  # two calls at once lock in one order
    ids = [row.external_id for row in rows]
    mine = DataRecord.objects.filter(organization=organization, index=index)
    with transaction.atomic():
        known = sum(mine.filter(external_id__in=ids[start : start + AT_ONCE]).count() for start in range(0, len(ids), AT_ONCE))
        DataRecord.objects.bulk_create(
            rows,
            batch_size=AT_ONCE,
            update_conflicts=True,
            unique_fields=["organization", "index", "external_id"],
            update_fields=["timestamp", "data"],
        )
    return Loaded(len(rows) - known, known)


class _Check:
    """Reads records and collects what is wrong with them."""

    def __init__(self, index: str, organization: Organization) -> None:
        self.index, self.organization = index, organization
        self.fields = FIELDS[index]
        self.kinds = {name: RECORDS[index].columns[name].kind for name in self.fields}
        self.seen: set[str] = set()
        self.errors: list[FieldError] = []

    def refuse(self, at: str, detail: str, code: str = "invalid") -> None:
        self.errors.append(FieldError(at, code, detail))

    def record(self, given: Any, at: str) -> DataRecord:
        row = DataRecord(organization=self.organization, index=self.index, data={})
        if not isinstance(given, dict):
            self.refuse(at, "Write an object.")
            return row
        row.external_id = self.external_id(given.get("external_id"), f"{at}.external_id")
        for key in given.keys() - {"external_id", "data", *self.fields}:
            known = ", ".join(("external_id", *self.fields, "data"))
            self.refuse(f"{at}.{key}", f"There is no such field; the fields are {known}. Anything else belongs into data.", "unknown")
        for name in self.fields:
            if given.get(name) is not None:
                try:
                    value = self.value(self.kinds[name], given[name])
                except ValueError as error:
                    self.refuse(f"{at}.{name}", str(error))
                    continue
                if name in MAIN_TIMES:
                    row.timestamp = value
                else:
                    row.data[name] = _stated(value) if isinstance(value, datetime) else value
        self.rest(given.get("data"), row, f"{at}.data")
        return row

    def external_id(self, value: Any, at: str) -> str:
        text = str(value) if type(value) is int else value
        if not is_text(text, ID_LENGTH, 1):
            self.refuse(at, f"Write 1 to {ID_LENGTH} characters.")
            return ""
        if text in self.seen:
            self.refuse(at, "The id appears twice in this call.", "repeated")
        self.seen.add(text)
        return str(text)

    def value(self, kind: Kind, value: Any) -> Any:
        if kind is Kind.DATETIME:
            return self.time(value)
        if kind is Kind.DECIMAL:
            return _decimal(value)
        text = str(value) if type(value) is int else value  # ids come as numbers too
        if not is_text(text, TEXT_LENGTH):
            raise ValueError(f"Write a text of at most {TEXT_LENGTH} characters.")
        return text

    def time(self, value: Any) -> datetime:
        match = _TIME.fullmatch(value) if isinstance(value, str) else None
        try:
            if match is None:
                raise ValueError
            at = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}{(match[3] or '').replace('z', 'Z')}")
            at = at.astimezone(UTC) if at.tzinfo else recurrence.instant(at, self.organization.timezone)
        except (ValueError, OverflowError):
            raise ValueError("Write a time such as 2024-01-31T23:59:59Z.") from None
        return at

    def rest(self, value: Any, row: DataRecord, at: str) -> None:
        if value is None:
            return
        if not isinstance(value, dict) or len(value) > MOST_KEYS:
            self.refuse(at, f"Write an object of at most {MOST_KEYS} keys.")
            return
        for key, each in value.items():
            if key in self.fields or key in {"external_id", "data"}:
                self.refuse(f"{at}.{key}", "This is a declared field; write it beside data.")
            elif not is_text(key, ID_LENGTH, 1):
                self.refuse(at, f"A key has 1 to {ID_LENGTH} characters.")
            else:
                row.data[key] = each


def _decimal(value: Any) -> str:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
            raise ValueError
        number = Decimal(repr(value) if isinstance(value, float) else value)
        if not number.is_finite() or abs(number.adjusted()) > 29 or len(number.normalize().as_tuple().digits) > DIGITS:
            raise ValueError
    except (ValueError, InvalidOperation):
        raise ValueError(f"Write a number of at most {DIGITS} digits, such as 12.50.") from None
    return plain(number)


def _stated(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
