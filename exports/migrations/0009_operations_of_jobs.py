"""Jobs made before there were operations get theirs."""

import json

from django.db import migrations

BATCH = 1000


def make(apps, schema_editor):
    job_model, operation_model = apps.get_model("exports", "ExportJob"), apps.get_model("exports", "Operation")
    batch = []
    for job in job_model.objects.filter(operation=None).select_related("organization").order_by("created_at", "pk").iterator(BATCH):
        asked = {
            "org_id": str(job.organization.uuid) if job.organization else "all",
            "org_name": job.org_name,
            "name": job.name,
            "type": job.type,
            "creation_start_date": job.creation_start_date.isoformat(),
            "creation_end_date": job.creation_end_date.isoformat(),
            "dataset": job.dataset,
            "format": job.format,
        }
        batch.append(
            operation_model(
                organization=job.organization,
                handler="ExportHandler",
                user_id=job.created_by_id,
                entity_id=str(job.pk),
                request=json.dumps(asked),
                created_at=job.created_at,
                own_updated_at=job.created_at,
                job=job,
            )
        )
    operation_model.objects.bulk_create(batch, batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("exports", "0008_operations")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
