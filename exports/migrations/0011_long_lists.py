"""Lists out of indexes alone, however many jobs and operations there are."""

import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

WORD = """CASE behind.status WHEN 'in progress' THEN 'running' WHEN 'done' THEN 'completed' WHEN 'failed' THEN 'failed'
  WHEN 'cancelled' THEN 'failed' ELSE 'pending' END"""
JOBS = f"""UPDATE exports_operation SET status = (SELECT {WORD} FROM exports_exportjob AS behind WHERE behind.id = job_id),
  updated_at = (SELECT COALESCE(finished_at, started_at, queued_at, behind.created_at) FROM exports_exportjob AS behind WHERE behind.id = job_id)
WHERE job_id IS NOT NULL"""
IMPORTS = f"""UPDATE exports_operation SET status = (SELECT {WORD} FROM exports_taskimport AS behind WHERE behind.id = task_import_id),
  updated_at = (SELECT COALESCE(finished_at, started_at, behind.created_at) FROM exports_taskimport AS behind WHERE behind.id = task_import_id)
WHERE task_import_id IS NOT NULL"""


class Migration(migrations.Migration):

    dependencies = [
        ('exports', '0010_schedules'),
        ('tasks', '0004_title_parts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='exportjob',
            name='job_list',
        ),
        migrations.RemoveIndex(
            model_name='exportjob',
            name='job_list_by_status',
        ),
        migrations.RemoveIndex(
            model_name='exportjob',
            name='job_list_all',
        ),
        migrations.RemoveIndex(
            model_name='operation',
            name='operation_list',
        ),
        migrations.RemoveIndex(
            model_name='operation',
            name='operation_shown',
        ),
        migrations.RemoveIndex(
            model_name='operation',
            name='operation_by_handler',
        ),
        # What follows a job or an import is a column now, which filters and sorts out of an index.
        migrations.RenameField(model_name='operation', old_name='own_status', new_name='status'),
        migrations.RenameField(model_name='operation', old_name='own_updated_at', new_name='updated_at'),
        migrations.RunSQL(JOBS, migrations.RunSQL.noop),
        migrations.RunSQL(IMPORTS, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='exportjob',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['organization', '-created_at', '-id'], include=('status', 'type'), name='job_list'),
        ),
        migrations.AddIndex(
            model_name='exportjob',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['organization', 'status', '-created_at', '-id'], include=('type',), name='job_list_by_status'),
        ),
        migrations.AddIndex(
            model_name='exportjob',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['organization', 'created_by', '-created_at', '-id'], name='job_list_by_maker'),
        ),
        migrations.AddIndex(
            model_name='exportjob',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['-created_at', '-id'], include=('organization', 'platform', 'created_by', 'status', 'type'), name='job_list_all'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', '-created_at', '-id'], include=('historized', 'handler', 'user', 'status'), name='operation_list'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', 'status', '-created_at', '-id'], include=('historized',), name='operation_by_status'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', 'handler', '-created_at', '-id'], include=('historized', 'status'), name='operation_by_handler'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', 'user', '-created_at', '-id'], include=('historized',), name='operation_by_user'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', '-updated_at', '-id'], include=('historized',), name='operation_by_change'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['organization', 'entity_id'], name='operation_by_entity'),
        ),
    ]
