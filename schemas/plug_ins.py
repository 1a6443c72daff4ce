"""Find plug-ins by walking a package: no registry, no decorator; the file's name is the plug-in's name."""

from importlib import import_module
from inspect import isabstract
from pkgutil import walk_packages
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def plug_ins(package: ModuleType, base: type[T]) -> dict[str, type[T]]:
    """Every concrete subclass of `base` that is defined in a file of `package` or below it, by its file's name, sorted."""
    classes: dict[str, type[T]] = {}
    for module in walk_packages(package.__path__, f"{package.__name__}."):
        for value in vars(import_module(module.name)).values():
            own = isinstance(value, type) and value.__module__ == module.name
            if own and issubclass(value, base) and not isabstract(value):
                classes[module.name.rpartition(".")[2]] = value
    return dict(sorted(classes.items()))
