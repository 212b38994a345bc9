"""How the admin's files are served in production."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Assets(CompressedManifestStaticFilesStorage):
    """Names with digests, in the imports of scripts too: a page never has one script of this release and another of the last."""

    support_js_module_import_aggregation = True
