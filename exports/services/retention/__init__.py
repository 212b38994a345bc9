"""What goes in time: files after their days, rows after a year, and stored bytes that no row names."""

from exports.services.retention.counting import count_kept
from exports.services.retention.expiring import expire
from exports.services.retention.orphans import sweep_orphans
from exports.services.retention.pruning import prune

__all__ = ["count_kept", "expire", "prune", "sweep_orphans"]
