"""Totals by day and of files kept; lists of jobs by format."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate

DAYS_AT_ONCE = 1000


def add_up(apps, schema_editor):
    """The days of jobs that ended before there were totals."""
    job, total = (apps.get_model('exports', name) for name in ('ExportJob', 'DayTotal'))
    ended = job.objects.filter(status__in=['done', 'failed'], finished_at__isnull=False, organization__isnull=False).order_by()
    days = ended.annotate(day=TruncDate('finished_at')).values('organization', 'day').annotate(
        done=Count('pk', filter=Q(status='done')), failed=Count('pk', filter=Q(status='failed')), rows=Sum('file__rows', default=0)
    )
    total.objects.bulk_create(
        [
            total(organization_id=day['organization'], day=day['day'], done=day['done'], failed=day['failed'], rows=day['rows'])
            for day in days.iterator()
        ],
        DAYS_AT_ONCE,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('exports', '0015_change_export'),
        ('tasks', '0006_organization_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='DayTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('done', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('rows', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tasks.organization')),
            ],
            options={'constraints': [models.UniqueConstraint(fields=('organization', 'day'), name='day_total_once')]},
        ),
        migrations.CreateModel(
            name='KeptTotal',
            fields=[
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='tasks.organization')),
                ('files', models.BigIntegerField(default=0)),
                ('size', models.BigIntegerField(default=0, help_text='Bytes.')),
                ('counted_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunPython(add_up, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='exportjob',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['organization', 'format', '-created_at', '-id'], name='job_list_by_format'),
        ),
    ]
