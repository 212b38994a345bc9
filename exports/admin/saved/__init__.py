"""What people keep to export by: configs and segments."""

from exports.admin.saved import configs, segments

__all__ = ["configs", "segments"]
