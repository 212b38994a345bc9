"""The one schedule that django-q2 keeps for us: a tick a minute on the control cluster."""

from django.db import migrations

NAME = "taskexport tick"


def make(apps, schema_editor):
    schedule = apps.get_model("django_q", "Schedule")
    schedule.objects.update_or_create(
        name=NAME,
        defaults={"func": "exports.worker.tick", "schedule_type": "I", "minutes": 1, "repeats": -1, "cluster": "control"},
    )


def drop(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("exports", "0002_initial"), ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]
    operations = [migrations.RunPython(make, drop)]
