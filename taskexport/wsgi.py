"""The WSGI entry point: `gunicorn taskexport.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskexport.settings")
application = get_wsgi_application()
