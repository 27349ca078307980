"""One module of rows for each file of layers; every module has LAYERS. Whoever adds a layer adds a row here."""

from importlib import import_module
from pkgutil import iter_modules

LAYERS = [
    row
    for found in iter_modules(__path__)
    if found.name != "base"
    for row in import_module(f"rows.{found.name}").LAYERS
]
