"""Webhooks, destinations and deliveries: `/api/v1/webhooks`, `/destinations`, `/deliveries`, all for an organization's admins. Ours."""

from django.urls import URLPattern

from exports.api.deliveries import deliveries, destinations, webhooks

urlpatterns: list[URLPattern] = [*webhooks.urlpatterns, *destinations.urlpatterns, *deliveries.urlpatterns]
