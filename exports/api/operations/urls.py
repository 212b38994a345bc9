"""The routes of contract 3."""

from django.urls import URLPattern

from exports.api.operations import views
from taskexport.api.views import route

urlpatterns: list[URLPattern] = [
    *route("v2/task/index", views.IndexView.as_view(), "operation-index"),
    *route("v2/task/create", views.CreateView.as_view(), "operation-create"),
    *route("v2/task/view/<str:task_id>", views.ReadView.as_view(), "operation-view"),
    *route("v2/task/update", views.UpdateByQueryView.as_view(), "operation-update-by-query"),
    *route("v2/task/update/<str:task_id>", views.UpdateOneView.as_view(), "operation-update"),
    *route("v2/task/delete/<str:task_id>", views.DeleteView.as_view(), "operation-delete"),
]
