"""JSON that every database keeps is checked on its way in; nothing changes in the database."""

import django.core.serializers.json
import tasks.models.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0006_organization_limits'),
    ]

    operations = [
        # SQLite would make both tables anew, with all their rows and without their triggers.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='datarecord',
                    name='data',
                    field=tasks.models.fields.KeptJSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                migrations.AlterField(
                    model_name='task',
                    name='attributes',
                    field=tasks.models.fields.KeptJSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, help_text="The organization's own fields, by key."),
                ),
            ],
        ),
    ]
