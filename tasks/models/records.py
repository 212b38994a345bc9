"""Records that integrators load: six data sources of which only exports know more than their declared fields."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tasks.models.fields import KeptJSONField
from tasks.models.people import Organization


class RecordIndex(models.TextChoices):
    """A data source."""

    TRANSACTIONS = "transactions", "transactions"
    USERS = "users", "users"
    VOUCHERS = "vouchers", "vouchers"
    WALLET_LEDGER = "wallet-ledger", "wallet ledger"
    PRODUCTS = "products", "products"
    PRODUCT_VARIANTS = "product-variants", "product variants"


class DataRecord(models.Model):
    """One record of a source. Its own time (`timestamp` or `created_date` of the source) has a column; the rest is `data`.

    In `data` a time is RFC 3339 text in UTC (`2024-01-31T12:00:00Z`), a decimal a number or its text, of at most 15 digits.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    index = models.CharField(max_length=20, choices=RecordIndex.choices)
    external_id = models.CharField(max_length=200)
    timestamp = models.DateTimeField(null=True, blank=True)
    data = KeptJSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "index", "external_id"], name="record_once"),
            models.CheckConstraint(condition=~Q(external_id=""), name="record_external_id_not_empty"),
            models.CheckConstraint(condition=Q(index__in=RecordIndex.values), name="record_index_known"),
        ]
        indexes = [models.Index(fields=["organization", "index", "created_at", "id"], name="record_export_order")]

    def __str__(self) -> str:
        return f"{self.index} {self.external_id}"
