"""An index of which attribute keys tasks have together: few such shapes among a million tasks, and so the keys are found in milliseconds."""

from django.db import migrations


def make(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":  # as `exports.services.attributes` writes it
        shape = "md5(jsonb_path_query_array(attributes, 'strict $.keyvalue().key', '{}', true)::text)"
        schema_editor.execute(f"CREATE INDEX IF NOT EXISTS task_by_shape ON tasks_task (organization_id, {shape})")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS task_by_shape")


class Migration(migrations.Migration):
    dependencies = [("tasks", "0004_title_parts")]
    operations = [migrations.RunPython(make, drop)]
