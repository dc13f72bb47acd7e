"""Finding a market by its name, without letting a name in a data file run anything else.

A name is looked up in two closed lists: the modules that lie in the package ``models``, and the entry points of the
group ``flexmarkets.markets`` that the user has installed. Nothing that a case folder says is ever imported as a path.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from .errors import DataError, Fault
from .market import Market
from .tables import did_you_mean

PACKAGE = "models"
ENTRY_POINTS = "flexmarkets.markets"


def own_markets() -> tuple[str, ...]:
    """Names of the modules and packages directly in ``models``; those with a leading underscore are helpers."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    names = (module.name for module in pkgutil.iter_modules(folders or []))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def installed_markets() -> dict[str, EntryPoint]:
    """Markets of other packages, by entry point name. They cannot replace one of ``models``."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in own_markets()}


def known_markets() -> tuple[str, ...]:
    """Names that ``find_market`` accepts."""
    return (*own_markets(), *sorted(installed_markets()))


def find_market(name: str) -> Market:
    """The ``Market`` called ``name``. Raises DataError, listing the known ones, if there is none."""
    if name in own_markets() and name.isidentifier():
        found = getattr(importlib.import_module(f"{PACKAGE}.{name}"), "market", None)
    elif name in installed_markets():
        found = installed_markets()[name].load()
    else:
        message = "there is no such market" + did_you_mean(name, known_markets())
        right = ", ".join(known_markets()) or "none is installed"
        raise DataError([Fault("market", message, value=name, allowed=right)])
    if not isinstance(found, Market):
        raise DataError([Fault("market", "its module holds no Market called 'market'", value=name)])
    return found
