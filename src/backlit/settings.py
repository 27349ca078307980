"""Settings: frozen dataclasses that check themselves and turn into plain data and back.

A layer, a loss, a rule, a schedule, a whole experiment: each is a `Settings`. A field's annotation is its check
(`Annotated[int, Ge(1)]`), so Python, YAML and the command line give the same sentence for the same mistake.

    Dense(units=0)                      SettingError: units: expected an integer greater than or equal to 1, got 0
    build(Layer, {"type": "Dense", "units": 8})
    plain(Dense(8))                     {"type": "Dense", "units": 8}
"""

import dataclasses
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval

from backlit.errors import SettingError, ShapeError, received, unknown

S = TypeVar("S", bound="Settings")


class Scheduled:
    """Marks a number that may also be a schedule or an array (a population varies it inside one program)."""


Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]
PositiveNumber = Annotated[float, Gt(0), Scheduled()]
NonNegativeNumber = Annotated[float, Ge(0), Scheduled()]
FractionNumber = Annotated[float, Interval(ge=0, lt=1), Scheduled()]


@dataclass(frozen=True)
class Settings:
    """Base of everything that is described by values and holds no arrays. The constructor checks, nothing else."""

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of the same thing (Xavier is Glorot)."""

    usual: ClassVar[str] = ""
    """Of a base: the class that is meant where a mapping names none."""

    def __post_init__(self) -> None:
        problems: list[tuple[str, str]] = []
        for name, hint in hints(type(self)).items():
            try:
                object.__setattr__(self, name, checked(hint, getattr(self, name)))
            except SettingError as error:
                problems += error.under(name).problems
        if problems:
            raise SettingError(problems)
        self.check()

    def check(self) -> None:
        """What no single field can tell (a warm-up longer than the schedule); raise SettingError."""

    @classmethod
    def from_plain(cls: type[S], value: dict[str, Any]) -> S:
        """Build from a mapping of field names to plain values."""
        known = hints(cls)
        problems = [(str(k), unknown("setting", str(k), known).problems[0][1]) for k in value if k not in known]
        missing = [f.name for f in dataclasses.fields(cls) if _required(f) and f.name not in value]
        problems += [(name, f"a value is required by {cls.__name__}, got none") for name in missing]
        if problems:
            raise SettingError(problems)
        return cls(**value)

    def to_plain(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain data."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            f.name: plain(values[f.name])
            for f in dataclasses.fields(self)
            if _required(f) or values[f.name] != _default(f)
        }


def build(kind: type[S], value: Any) -> S:
    """A settings object of `kind` from an instance, a name, or a mapping with `type` and the fields.

    Names come from the subclasses of `kind` that are loaded, so reading a file never imports or runs anything.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        return lookup(kind, value).from_plain({})
    if isinstance(value, dict):
        fields = dict(value)
        if "type" not in fields and not dataclass_is_abstract(kind):
            return kind.from_plain(fields)
        name = fields.pop("type", kind.__dict__.get("usual"))
        if not isinstance(name, str):
            got = "nothing" if name is None else received(name)
            raise SettingError([("type", f"expected the name of {article(kind.__name__)}, got {got}")])
        return lookup(kind, name).from_plain(fields)
    if isinstance(value, list | tuple) and hasattr(kind, "from_list"):
        return typing.cast(S, typing.cast(Any, kind).from_list(value))
    text = f"expected {article(kind.__name__)}, its name, or a mapping with 'type', got {received(value)}"
    raise SettingError([("", text)])


def lookup(kind: type[S], name: str) -> type[S]:
    """The final class of `kind` that has this name or alias, whatever the case."""
    table = known(kind)
    found = {n.lower().replace("_", "").replace("-", ""): c for n, c in table.items()}
    key = name.lower().replace("_", "").replace("-", "")
    if key not in found:
        raise unknown(kind.__name__.lower(), name, table)
    return found[key]


def known(kind: type[S]) -> dict[str, type[S]]:
    """All loaded final classes of `kind` by name and alias."""
    table: dict[str, type[S]] = {}
    for cls in [kind, *_descendants(kind)]:
        if not dataclass_is_abstract(cls):
            table[cls.__name__] = cls
            table.update(dict.fromkeys(cls.__dict__.get("aliases", ()), cls))
    return table


def plain(value: Any) -> Any:
    """Plain data (dict, list, str, number, bool, None) of a settings tree; `build` reads it back."""
    if isinstance(value, Settings):
        fields = value.to_plain()
        return {"type": type(value).__name__, **fields}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def filled(settings: S, **values: Any) -> S:
    """The same with `values` wherever a field of this name, here or further in, was left open (None)."""

    def inside(name: str, value: Any) -> Any:
        if isinstance(value, Settings):
            return filled(value, **values)
        if type(value) is tuple:
            return tuple(filled(v, **values) if isinstance(v, Settings) else v for v in value)
        return values.get(name) if value is None else value

    return dataclasses.replace(
        settings, **{f.name: inside(f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings)}
    )


def checked(hint: Any, value: Any) -> Any:
    """`value` as `hint` wants it, or SettingError: the one place where a setting is judged."""
    if get_origin(hint) is Annotated and any(isinstance(m, Scheduled) for m in hint.__metadata__):
        return _checked_number(hint, value)
    options = [hint]
    if get_origin(hint) in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        options = [option for option in get_args(hint) if option is not type(None)]
    if options != [hint] and len(options) == 1 and get_origin(options[0]) is Annotated:
        return checked(options[0], value)
    if len(options) == 1 and isinstance(options[0], type) and issubclass(options[0], Settings):
        return build(options[0], value)
    if len(options) == 1 and get_origin(options[0]) is tuple and _is_settings(get_args(options[0])[0]):
        return _checked_tuple(get_args(options[0])[0], value)
    return _checked_by_type(hint, value)


def _checked_number(hint: Any, value: Any) -> Any:
    if isinstance(value, Settings | dict):
        from backlit.optim.schedules import Schedule

        return build(Schedule, value)  # type: ignore[type-abstract]
    if hasattr(value, "item") and hasattr(value, "tolist") and getattr(value, "ndim", None) == 0:
        value = _concrete(value)
    return value if hasattr(value, "__array_namespace__") else _checked_by_type(hint, value)


def _concrete(value: Any) -> Any:
    """A NumPy number as Python's, so that it is checked and compared like one; a traced one stays."""
    import numpy as np

    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _checked_tuple(kind: type[S], value: Any) -> tuple[S, ...]:
    if not isinstance(value, list | tuple):
        value = (value,)
    items, problems = [], []
    for i, item in enumerate(value):
        try:
            items.append(build(kind, item))
        except SettingError as error:
            problems += error.under(str(i)).problems
    if problems:
        raise SettingError(problems)
    return tuple(items)


def _checked_by_type(hint: Any, value: Any) -> Any:
    from pydantic import ValidationError

    # True is an integer to Python; as a number of units it is a mistake.
    mistaken = isinstance(value, bool) and _takes(hint, int, float) and not _takes(hint, bool)
    try:
        return _adapter(hint).validate_python(object() if mistaken else value)
    except ValidationError as error:
        places = {str(e["loc"][0]) for e in error.errors() if e["loc"] and isinstance(e["loc"][0], int)}
        if len(places) == 1 and isinstance(value, list | tuple):
            place = places.pop()
            what = _expected(e for e in error.errors() if str(e["loc"][0]) == place)
            got = received(value[int(place)]) if int(place) < len(value) else "nothing"
            raise SettingError([(place, f"expected {what}, got {got}")]) from None
        raise SettingError([("", f"expected {_expected(error.errors())}, got {received(value)}")]) from None
    except ShapeError as error:
        raise SettingError([("", str(error))]) from None


def _takes(hint: Any, *kinds: type) -> bool:
    return hint in kinds or type(hint) in kinds or any(_takes(part, *kinds) for part in get_args(hint))


def _expected(errors: typing.Iterable[Any]) -> str:
    return " or ".join(dict.fromkeys(_expectation(e) for e in errors))


def article(noun: str) -> str:
    """'a Layer', 'an Initializer'."""
    return f"{'an' if noun[0].upper() in 'AEIO' else 'a'} {noun}"


def _expectation(error: Any) -> str:
    text = str(error["msg"])
    for start in ("Input should be a valid ", "Input should be ", "Value error, "):
        text = text.removeprefix(start)
    nouns = {"int_parsing": "an integer", "int_type": "an integer", "int_from_float": "an integer",
             "float_parsing": "a number", "float_type": "a number", "string_type": "text",
             "bool_parsing": "true or false", "bool_type": "true or false", "finite_number": "a finite number",
             "tuple_type": "a list", "list_type": "a list", "dict_type": "a mapping", "missing": "a value",
             "greater_than": "a number " + text, "greater_than_equal": "a number " + text,
             "less_than": "a number " + text, "less_than_equal": "a number " + text}  # fmt: skip
    return nouns.get(error["type"], text)


@cache
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def hints(cls: Any) -> dict[str, Any]:
    """The annotation of each field, with its constraints."""
    return _hints(cls)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    resolved = typing.get_type_hints(cls, include_extras=True)
    return {f.name: resolved[f.name] for f in dataclasses.fields(cls)}


def dataclass_is_abstract(cls: type) -> bool:
    """A class is abstract (it says so with `abstract = True` in its own body) or final."""
    return bool(cls.__dict__.get("abstract", cls is Settings))


def _is_settings(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Settings)


def _descendants(cls: type[S]) -> list[type[S]]:
    return [d for c in cls.__subclasses__() for d in [c, *_descendants(c)]]


def _required(f: "dataclasses.Field[Any]") -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _default(f: "dataclasses.Field[Any]") -> Any:
    if f.default_factory is not dataclasses.MISSING:
        return f.default_factory()
    return f.default
