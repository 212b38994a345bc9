"""Every route of the service."""

from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView

from exports.admin import dashboard
from taskexport.api.document import DocumentView
from taskexport.api.errors import not_found
from taskexport.api.views import route
from taskexport.staff import SignInForm

admin.site.site_header = admin.site.site_title = "taskexport"
admin.site.index_title = "Overview"
admin.site.site_url = None  # the admin is all there is to look at
admin.site.login_form = SignInForm

# Redoc makes two <style> elements of its own, an empty one that it fills by script and a fixed one: these, and no others.
_REDOC_STYLES = ["'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='", "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"]
redoc = csp_update({"style-src": _REDOC_STYLES})(SpectacularRedocView.as_view(url_name="schema", template_name="taskexport/redoc.html"))

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.admin_view(dashboard.view)),  # in place of Django's own index
    path("admin/", admin.site.urls),
    path("", include("exports.api.links")),
    path("api", not_found),
    path("api/", include("tasks.api")),
    path("api/", include("exports.api.jobs")),
    path("api/", include("exports.api.task_exports")),
    path("api/", include("exports.api.imports")),
    path("api/", include("exports.api.operations.urls")),
    path("api/", include("exports.api.scheduled_tasks")),
    path("api/", include("exports.api.deliveries")),
    path(
        "api/",
        include(
            [
                *route("schema", DocumentView.as_view(), "schema"),
                *route("docs", SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="taskexport/docs.html"), "docs"),
                *route("redoc", redoc, "redoc"),
                re_path(r"^.*$", not_found),
            ]
        ),
    ),
]
