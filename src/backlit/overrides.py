"""`--set path=value`: one setting of plain data changed by its dotted path, layers by name.

    optimizer.lr=0.01    net.dense_1.units=64    net.2.rate=0.3    stopping.patience=5    split.test=0

What a path passes through may be left out of the file (it stands at its default) or be a bare name (all its defaults).
"""

import dataclasses
import json
from typing import Any

from backlit.config import Experiment, loader
from backlit.errors import SettingError, received, unknown
from backlit.layers.compose import named
from backlit.protocol import Layer
from backlit.settings import Settings, hints, known, lookup, plain


def changed(value: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Plain settings of an experiment with each 'path=value' put in; values are read as YAML.

    >>> from backlit.overrides import changed
    >>> changed({"net": ["ReLU", {"type": "Dense", "units": 3}]}, ["net.dense_1.units=8", "optimizer.lr=1e-2"])
    {'net': ['ReLU', {'type': 'Dense', 'units': 8}], 'optimizer': {'type': 'Adam', 'lr': 0.01}}
    """
    import yaml

    value = json.loads(json.dumps(value))
    for item in settings:
        path, sign, text = item.partition("=")
        if not sign or not path:
            raise SettingError([("--set", f"expected path=value such as optimizer.lr=0.01, got {item!r}")])
        try:
            new = yaml.load(text, Loader=loader())
        except yaml.YAMLError:
            new = text
        put(value, path, new)
    return value


def put(value: dict[str, Any], path: str, new: Any) -> None:
    """Set one path of an experiment's plain settings in place."""
    here: Any = value
    cls: type[Settings] | None = Experiment
    *parents, last = path.split(".")
    for depth, part in enumerate(parents):
        here, cls = _below(here, part, cls, ".".join(parents[: depth + 1]))
    holder, key = _slot(here, last, path)
    holder[key] = new


def _below(here: Any, part: str, cls: type[Settings] | None, path: str) -> tuple[Any, type[Settings] | None]:
    """What stands at `part`, as a mapping or list that can be changed, and its class where that is known."""
    holder, key = _slot(here, part, path)
    found = holder.get(key) if isinstance(holder, dict) else holder[key]
    if found is None:
        found = _default(cls, part)
    if isinstance(found, str):
        found = {"type": found}
    if not isinstance(found, dict | list):
        raise SettingError([(path, f"expected settings below this path, it holds {received(found)}")])
    holder[key] = found
    name = found.get("type") if isinstance(found, dict) else None
    return found, lookup(Settings, name) if isinstance(name, str) and name in known(Settings) else None


def _slot(here: Any, part: str, path: str) -> tuple[Any, Any]:
    """Where `part` is kept: a mapping and its key, or the list of a composite's layers and the index."""
    if isinstance(here, dict) and isinstance(here.get("layers"), list) and part not in _fields(here):
        here = here["layers"]
    if isinstance(here, dict):
        return here, part
    if part.isdigit() and int(part) < len(here):
        return here, int(part)
    names = [name for name, _ in named(here)]
    if part not in names:
        raise SettingError([(path, unknown("layer", part, names).problems[0][1])])
    return here, names.index(part)


def _fields(here: dict[str, Any]) -> set[str]:
    return {"type", "name", *hints(lookup(Layer, here["type"]))} if "type" in here else {"layers"}


def _default(cls: type[Settings] | None, part: str) -> Any:
    """The plain default of a field that the file leaves out: what a path below it starts from."""
    for f in dataclasses.fields(cls) if cls else ():
        if f.name == part:
            value = f.default if f.default is not dataclasses.MISSING else None
            value = f.default_factory() if f.default_factory is not dataclasses.MISSING else value
            if isinstance(value, Settings):
                return plain(value)
    return {}
