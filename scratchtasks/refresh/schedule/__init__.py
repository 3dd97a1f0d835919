"""Ready jobs that run `doit refresh` every night, one module for each scheduler.

Each asks for the least it can do with, and treats exit code 10 as success, 20 as a question to
people.  All text is fit to be edited.
"""

from collections.abc import Callable, Mapping

from .cron import cron
from .github import github
from .gitlab import gitlab
from .kubernetes import kubernetes
from .place import Place
from .systemd import systemd

__all__ = ["KINDS", "Place"]

KINDS: Mapping[str, Callable[[Place], str]] = {
    "cron": cron,
    "github": github,
    "gitlab": gitlab,
    "kubernetes": kubernetes,
    "systemd": systemd,
}
