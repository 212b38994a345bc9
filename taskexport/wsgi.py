"""The WSGI entry point: `gunicorn taskexport.wsgi`."""

import gc
import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from taskexport.logs import json_formatter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskexport.settings")
application = get_wsgi_application()

# The server's own lines as ours: of a request that breaks it would write the address, with a link's token, and the error's message.
if settings.PRODUCTION:
    for handler in logging.getLogger("gunicorn.error").handlers:
        handler.setFormatter(json_formatter())

# All code is loaded now, and not with the first request. It stays for good, so the collector need not look through it again: each time it
# did, some request waited for a tenth of a second.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
