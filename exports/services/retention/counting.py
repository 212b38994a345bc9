"""How much each organization keeps, counted every few minutes: no page could add up a million files."""

from __future__ import annotations

from django.db.models import Count, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from exports.models import ExportFile, KeptTotal
from exports.services.retention.turns import take_turn

EVERY_SECONDS = 300
BATCH = 500


def count_kept() -> int:
    """Counts the files of every organization, if it is time; of how many."""
    if take_turn("kept", EVERY_SECONDS) is None:
        return 0
    present = ExportFile.objects.filter(Q(pinned=True) | Q(expires_at__gt=timezone.now()), deleted_at=None, job__organization__isnull=False)
    sums = present.order_by().values_list("job__organization").annotate(Count("pk"), Sum("size"))
    found = [KeptTotal(organization_id=one, files=files, size=size, counted_at=Now()) for one, files, size in sums]
    KeptTotal.objects.bulk_create(found, BATCH, update_conflicts=True, unique_fields=["organization"], update_fields=["files", "size", "counted_at"])
    # What is left has none any more.
    KeptTotal.objects.exclude(organization__in=[total.organization_id for total in found]).update(files=0, size=0, counted_at=Now())
    return len(found)
