"""What Prometheus reads: a process's circuits, balancer, directory and event loops. docs/operating.md."""

from .own import Metrics, metrics_of
from .page import Page, content_type
from .rows import Family, Fold, Group, Row

__all__ = ["Family", "Fold", "Group", "Metrics", "Page", "Row", "content_type", "metrics_of"]
