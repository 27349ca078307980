"""A run is data: an `Experiment` is a tree of settings that reads from and writes to YAML or JSON.

A dotted path means the same thing everywhere: `optimizer.lr` on the command line, in a search space, in an error.
Names come from the classes that are loaded; a file never names an import path, so reading one runs no code.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

import backlit.losses  # noqa: F401  (its names are known to files once it is loaded)
from backlit.data import Augmenter, Mixing, Preprocessor, Source, Split
from backlit.data.cleaning import Cleaner
from backlit.data.sampling import Sampling
from backlit.errors import BacklitError, SettingError, join, received, unknown
from backlit.layers import Composite
from backlit.optim import L1L2, Adam, Clip, Group, Rule, Wrapper
from backlit.protocol import Layer, Loss
from backlit.settings import Count, PositiveNumber, Settings, plain
from backlit.training.stopping import Halving, Stopping


@dataclass(frozen=True)
class Checkpointing(Settings):
    """When to save: after every n epochs, every so many seconds, and at the end; the last `keep` and the best stay.

    >>> import backlit as bl
    >>> bl.config.Checkpointing(every_epochs=5).keep
    3
    """

    abstract: ClassVar[bool] = False
    every_epochs: Count | None = None
    every_seconds: PositiveNumber | None = 30.0
    keep: Count = 3


@dataclass(frozen=True)
class Experiment(Settings):
    """Everything that decides a training, checked as a whole; two equal experiments give equal parameters.

    data            where rows come from: a source, its name, or a mapping with `type`
    net, loss       the network (a list of layers is a Chain) and what it minimises
    optimizer       the update rule; its numbers may be schedules
    cleaning        steps that turn a table's columns into numbers, fitted on the training part; where there are none, a table
                    with text, dates or missing cells takes what it needs (data/cleaning)
    preprocessing   fitted on the training part, applied to every row in order; `target_preprocessing` to the targets
    augmentation    how training rows are changed at random, before the preprocessing, anew whenever they are seen
    mixing          Mixup or CutMix: training rows of a batch mixed with each other, after the preprocessing
    order           of the training rows in an epoch: "shuffled", "given" as they stand, or "streams": row b of a batch
                    goes on where row b of the batch before it ended, for nets that remember from batch to batch
    sampling        Balanced or Weighted: rows drawn by class or weight; Buckets: sequences beside others of their length
    penalty, clip   L1 and L2 in the loss; the largest norm of a gradient
    wrappers        what stands around the rule, in any order: averages, SAM, accumulation, noise, bounds (optim/wrappers.py)
    groups          parameters, by path, with a learning rate, decay or rule of their own
    frozen          paths of parameters that stay as they start: "dense_1", "dense_1.W", "*.b"
    layout          "one" device with threaded products, one device a core ("cores"), or "auto": the faster, measured

    >>> import backlit as bl
    >>> e = bl.Experiment(data="digits", net=[{"type": "Dense", "units": 10}], loss="SoftmaxCrossEntropy")
    >>> e.optimizer.lr
    0.001
    """

    abstract: ClassVar[bool] = False
    data: Source
    net: Layer
    loss: Loss
    optimizer: Rule = Adam()
    name: str = ""
    split: Split = Split()
    cleaning: tuple[Cleaner, ...] = ()
    preprocessing: tuple[Preprocessor, ...] = ()
    target_preprocessing: tuple[Preprocessor, ...] = ()
    augmentation: tuple[Augmenter, ...] = ()
    mixing: Mixing | None = None
    order: Literal["shuffled", "given", "streams"] = "shuffled"
    sampling: Sampling | None = None
    penalty: L1L2 = L1L2()
    clip: Clip | None = None
    wrappers: tuple[Wrapper, ...] = ()
    groups: tuple[Group, ...] = ()
    frozen: tuple[str, ...] = ()
    batch_size: Count = 32
    epochs: Count = 20
    stopping: Stopping | None = None
    halving: Halving | None = None
    checkpoint: Checkpointing = field(default_factory=Checkpointing)
    seed: int = 0
    engine: Literal["xla", "numpy"] = "xla"
    layout: Literal["auto", "one", "cores"] = "auto"

    def check(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise SettingError([("seed", f"expected a whole number from 0 to 2^64 - 1, got {self.seed}")])
        if self.sampling is not None and self.order != "shuffled":
            raise SettingError(
                [("sampling", f"expected order: shuffled for it, got {self.order}; leave one of them out")]
            )
        if (self.stopping or self.halving) and self.split.validation == 0:
            text = "expected a part to watch when stopping or halving is set, got 0; write split.validation: 0.15"
            raise SettingError([("split.validation", text)])


def load(source: str | Path) -> Experiment:
    """The experiment called `source` (shipped with the package), or read from a .yaml, .yml or .json file."""
    return from_plain(read(source), str(source))


def from_plain(value: Any, where: str = "experiment") -> Experiment:
    """An experiment from plain data; SettingError names every wrong setting by its path."""
    if not isinstance(value, dict):
        raise SettingError([("", f"{where}: expected a mapping of settings, got {received(value)}")])
    return Experiment.from_plain(value)


def read(source: str | Path) -> dict[str, Any]:
    """Plain settings of a named experiment or a file."""
    text, kind = _text(source)
    import yaml

    try:
        value = json.loads(text) if kind == ".json" else yaml.load(text, Loader=loader())
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise SettingError([("", f"{source}: expected readable {kind[1:]}, got: {problem}")]) from None
    except RecursionError:
        raise SettingError([("", f"{source}: expected settings, got nesting deeper than can be read")]) from None
    if not isinstance(value, dict):
        raise SettingError([("", f"{source}: expected a mapping of settings, got {received(value)}")])
    return value


def write(experiment: Experiment, path: str | Path) -> None:
    """Write an experiment as YAML (or JSON by the ending)."""
    import yaml

    value = {k: v for k, v in plain(experiment).items() if k != "type"}
    ending = Path(path).suffix
    text = json.dumps(value, indent=2) if ending == ".json" else yaml.safe_dump(value, sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")


def named() -> dict[str, Path]:
    """The experiments that ship with the package, by name."""
    folder = Path(str(resources.files("backlit"))) / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _text(source: str | Path) -> tuple[str, str]:
    shipped = named()
    path = shipped.get(str(source), Path(source))
    if path.suffix not in (".yaml", ".yml", ".json"):
        if path.exists():
            raise SettingError(
                [("", f"{source}: expected a .yaml, .yml or .json file, got {path.suffix or 'no ending'}")]
            )
        raise unknown("experiment", str(source), shipped)
    try:
        if path.stat().st_size > 4_000_000:
            raise SettingError(
                [("", f"{source}: expected an experiment of at most 4 MB, got {path.stat().st_size} bytes")]
            )
        return path.read_text(encoding="utf-8"), path.suffix
    except FileNotFoundError:
        raise SettingError([("", f"{source}: no such file; named experiments are {', '.join(shipped)}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BacklitError(f"{source}: expected a readable text file, got: {error}") from None


def loader() -> Any:
    """YAML's safe loader, without aliases (a few bytes could otherwise unfold into gigabytes), with 1e-3 as a number."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not read in experiments; write the value out")
            return super().compose_node(parent, index)

    number = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def paths(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Every setting by dotted path, layers by name: what `--set`, a search space and a report call it."""
    found: dict[str, Any] = {}
    fields = [(f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings)]
    if isinstance(settings, Composite):
        fields = [*settings.children(), *(pair for pair in fields if pair[0] != "layers")]
    for name, value in fields:
        path = join(prefix, name)
        if isinstance(value, Settings):
            found[join(path, "type")] = type(value).__name__
            found.update(paths(value, path))
        elif isinstance(value, tuple) and value and isinstance(value[0], Settings):
            for i, item in enumerate(value):
                found[f"{path}.{i}.type"] = type(item).__name__
                found.update(paths(item, f"{path}.{i}"))
        else:
            found[path] = value
    return found
