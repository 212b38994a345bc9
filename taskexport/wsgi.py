"""The WSGI entry point: `gunicorn taskexport.wsgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskexport.settings")
application = get_wsgi_application()

# All code is loaded now, and not with the first request. It stays for good, so the collector need not look through it again: each time it
# did, some request waited for a tenth of a second.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
