"""The stages that there are, found as the contract tests find them: by walking the packages."""

import importlib
import pkgutil

import stages
from pipeline.stage import Stage


def stage_classes() -> list[type[Stage]]:
    """Every concrete Stage in the packages below `stages`."""
    found: list[type[Stage]] = []
    for module in pkgutil.walk_packages(stages.__path__, "stages."):
        for value in vars(importlib.import_module(module.name)).values():
            own = isinstance(value, type) and issubclass(value, Stage) and value.__module__ == module.name
            if own and not getattr(value, "__abstractmethods__", None):
                found.append(value)
    return found
