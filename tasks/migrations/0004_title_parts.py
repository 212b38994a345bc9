"""An index of parts of titles, where the database can have one: searching a million titles takes milliseconds with it, half a second without."""

from django.db import DatabaseError, migrations, transaction


def make(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if not cursor.fetchone()[0]:
            return
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except DatabaseError:  # this user may not: docs/operations.md says what an administrator runs
            return
        # As Django writes a search in any case of letters.
        cursor.execute("CREATE INDEX IF NOT EXISTS task_title_parts ON tasks_task USING gin (upper(title::text) gin_trgm_ops)")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS task_title_parts")


class Migration(migrations.Migration):
    dependencies = [("tasks", "0003_case_task_lists")]
    operations = [migrations.RunPython(make, drop)]
