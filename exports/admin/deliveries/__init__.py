"""Where exports are told of and brought to: webhooks, destinations, and the log of deliveries. Only an organization's admins see these."""

from exports.admin.deliveries.destinations import DestinationAdmin
from exports.admin.deliveries.log import DeliveryAdmin
from exports.admin.deliveries.webhooks import WebhookAdmin

__all__ = ["DeliveryAdmin", "DestinationAdmin", "WebhookAdmin"]
