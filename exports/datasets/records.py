"""The six sources that integrators load; which fields they declare is ours (docs/api.md)."""

from __future__ import annotations

from django.db.models import F
from django.db.models.expressions import Combinable

from exports.cells import Kind
from exports.datasets.declared import Dataset, columns
from exports.expressions import JsonText, TextToDecimal, TextToTime
from tasks.models import DataRecord, RecordIndex

MAIN_TIMES = ("timestamp", "created_date")  # the source's own time, which has a column in the table
_TIMES = ("date_time_redeemed",)
_DECIMALS = ("amount", "price")
FIELDS: dict[str, tuple[str, ...]] = {
    RecordIndex.TRANSACTIONS: ("timestamp", "amount", "currency", "user_id", "store", "items", "status"),
    RecordIndex.USERS: ("created_date", "email", "first_name", "last_name", "country", "status"),
    RecordIndex.VOUCHERS: ("created_date", "code", "amount", "currency", "user_id", "status", "date_time_redeemed"),
    RecordIndex.WALLET_LEDGER: ("timestamp", "amount", "currency", "user_id", "type", "description"),
    RecordIndex.PRODUCTS: ("created_date", "name", "category", "price", "currency", "status"),
    RecordIndex.PRODUCT_VARIANTS: ("created_date", "name", "category", "price", "currency", "status", "product_id", "sku"),
}


def _field(name: str) -> tuple[str, str, Kind, str | Combinable]:
    text = JsonText(F("data"), name)
    if name in MAIN_TIMES:
        return name, name, Kind.DATETIME, "timestamp"
    if name in _TIMES:
        return name, name, Kind.DATETIME, TextToTime(text)
    if name in _DECIMALS:
        return name, name, Kind.DECIMAL, TextToDecimal(text)
    return name, name, Kind.TEXT, text


def _dataset(index: str, fields: tuple[str, ...]) -> Dataset:
    return Dataset(
        index,
        lambda: DataRecord.objects.filter(index=index),
        columns(
            ("id", "id", Kind.INTEGER, "id"),
            ("external_id", "external_id", Kind.TEXT, "external_id"),
            *map(_field, fields),
            ("created_at", "created_at", Kind.DATETIME, "created_at"),
        ),
        open_keys="data",
    )


RECORDS: dict[str, Dataset] = {str(index): _dataset(str(index), fields) for index, fields in FIELDS.items()}
