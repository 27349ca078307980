"""A finished (or interrupted) training: its numbers, its net, and what one does with them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset, apply_all, invert_all
from backlit.data.checks import finite, holds, masked, tokens
from backlit.data.cleaning import Cleaned
from backlit.data.rows import Rows
from backlit.data.views import Views, check_views
from backlit.engine import random
from backlit.errors import BacklitError, CheckpointError, DataError
from backlit.evaluation.entities import are_tags, score_entities, sentences
from backlit.evaluation.metrics import decide, measure, per_step, probabilities, real_steps
from backlit.protocol import Context, Tree
from backlit.training import checkpoint
from backlit.training.directory import RunDirectory
from backlit.training.evaluate import Evaluator
from backlit.training.initial import blank
from backlit.training.program import Program

VIEWED = 512
"""Images whose views are looked at together."""

LARGEST_ROWS = 64 * 2**20
"""Bytes of test rows up to which they are stored beside the outputs, for the pictures of the report."""


@dataclass(frozen=True)
class Run:
    """What a training leaves behind; `open_run` reads one from its directory.

    history    one dict an epoch: epoch, step, seconds, lr, loss, accuracy or rmse, validation
    result     test metrics, seconds (startup, compile, train, total), steps per second, why it stopped
    params     the trained parameters (the best epoch's where there is a validation part), state likewise
    """

    experiment: Experiment
    params: Tree
    state: Tree
    prepared: Tree
    target_prepared: Tree
    facts: dict[str, Any]
    history: list[dict[str, Any]]
    result: dict[str, Any]
    directory: Path | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def outputs(self, x: Any, mask: Any = None, views: Views | None = None) -> np.ndarray:
        """(N, ...) outputs of the net for raw rows x (N, ...): logits, or values in the units of the targets.

        `mask` (N, T): which time steps are real, where rows are sequences filled up to one length. `views`: look at each
        image several times (FlipAverage, TenCrop, ...), and answer with the mean.
        """
        x = self.rows(x)
        if views is None:
            return self.raw(self._evaluator(len(x)), x, self._mask(mask, x))
        check_views(views, self.experiment.net, self.params, x.shape[1:])
        task, found = self.experiment.loss.task, []
        for start in range(0, len(x), VIEWED):
            block = x[start : start + VIEWED]
            seen = np.asarray(views.apply(block))
            found.append(np.asarray(views.averaged(task, self.raw(self._evaluator(len(seen)), seen), len(block))))
        return np.concatenate(found)

    def _evaluator(self, rows: int) -> Evaluator:
        found: Evaluator | None = self._cache.get("evaluator")
        if found is None or found.block < min(rows, 256):
            engine = engines.get(self.experiment.engine)
            program = Program(self.experiment, self.experiment.optimizer)
            found = self._cache["evaluator"] = Evaluator(program, engine, self.prepared, max(1, rows))
        return found

    def raw(self, evaluate: Evaluator, x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """As `outputs`, by a given evaluator, for rows that need no check."""
        if "placed" not in self._cache:
            self._cache["placed"] = evaluate.engine.place((self.params, self.state))
        params, state = self._cache["placed"]
        outputs = evaluate.outputs(params, state, x, mask)
        if self.experiment.loss.task != "regression":
            return outputs
        return np.asarray(invert_all(self.experiment.target_preprocessing, self.target_prepared, outputs))

    def predict(self, x: Any, mask: Any = None, views: Views | None = None) -> np.ndarray:
        """(N,) class names (or numbers where classes have none), or (N, ...) values, for raw rows x; (N, T) names where
        each time step has its own, padded ones included."""
        outputs, task = self.outputs(x, mask, views), self.experiment.loss.task
        found = decide(task, outputs)
        if task == "regression":
            return found.reshape(len(found), *self.facts["target"])
        if task == "binary" and per_step(task, outputs.shape[1:]):
            found = found.reshape(len(outputs), -1)
        classes = self.facts.get("classes")
        return np.asarray(np.asarray(classes)[found.astype(int)]) if classes and task != "multilabel" else found

    def probabilities(self, x: Any, mask: Any = None, views: Views | None = None) -> np.ndarray:
        """(N, K) probability of each class for raw rows x; (N, T, K) where each time step has its own."""
        return probabilities(self.experiment.loss.task, self.outputs(x, mask, views))

    def evaluate(self, dataset: Dataset, views: Views | None = None) -> dict[str, float]:
        """Loss and metrics on rows with targets, each row (or real time step, where it has a target) counted once."""
        return self.measured(self.outputs(dataset.x, dataset.mask, views), dataset)

    def measured(self, outputs: np.ndarray, dataset: Dataset) -> dict[str, float]:
        """Loss and metrics of outputs in the units of the targets; the F1 of whole entities where classes are their tags."""
        task, steps, y, target = self.experiment.loss.task, self.experiment.target_preprocessing, outputs, dataset.y
        if task in ("regression", "multilabel"):
            target = target.reshape(outputs.shape)
        if steps and task != "regression":
            target = np.asarray(apply_all(steps, self.target_prepared, target))
        tags = self.facts.get("classes", [])
        more = {}
        if task == "classification" and target.ndim == 2 and are_tags(tags):
            true, said = (sentences(labels, dataset.mask, tags) for labels in (target, decide(task, y)))
            more["entity_f1"] = score_entities(true, said).micro.f1
        y, target = real_steps(task, y, target, dataset.mask)
        found = measure(task, y, target) | more
        if steps and task == "regression":
            y, target = (apply_all(steps, self.target_prepared, a) for a in (y, target))
        return {"loss": float(self.experiment.loss(np.asarray(y, np.float64), target)[0]), **found}

    def monte_carlo(self, x: Any, draws: int = 30, seed: int = 0, mask: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the predicted probabilities (or values) over `draws` passes with dropout on.

        The spread tells how sure the net is. Source: Gal, Ghahramani 2016, https://arxiv.org/abs/1506.02142
        """
        x = apply_all(self.experiment.preprocessing, self.prepared, self.rows(x))
        mask, passes = self._mask(mask, x), []
        for key in random.split(random.key(seed), draws):
            # train=True would also use batch statistics; a pass that draws is what dropout asks for.
            y = self.experiment.net.forward(self.params, self.state, x, Context(train=True, root=key, mask=mask))[0]
            if self.experiment.loss.task == "regression":
                passes.append(np.asarray(invert_all(self.experiment.target_preprocessing, self.target_prepared, y)))
            else:
                passes.append(probabilities(self.experiment.loss.task, y))
        return np.mean(passes, axis=0), np.std(passes, axis=0)

    @property
    def cleaned(self) -> Cleaned | None:
        """What turns raw tables into rows of this net, where it was trained on one."""
        if "cleaned" not in self._cache:
            held = self.facts.get("cleaning")
            self._cache["cleaned"] = Cleaned.from_plain(held) if held else None
        found: Cleaned | None = self._cache["cleaned"]
        return found

    def rows(self, given: Any) -> np.ndarray:
        """Rows as the net was trained on, or DataError; tables (DataFrame, dict of columns, list of dicts) are cleaned."""
        shape: tuple[int, ...] = tuple(self.facts["shape"])
        numbers = isinstance(given, np.ndarray) and given.dtype.kind in "fiub" and given.shape[1:] == shape
        if self.cleaned is not None and not numbers:
            given = self.cleaned.rows(given)
        x: np.ndarray = np.asarray(given[:] if isinstance(given, Rows) else given)
        if x.ndim == 0 or int(np.prod(x.shape[1:])) != int(np.prod(shape)):
            raise DataError(f"rows: expected shape (N, {', '.join(map(str, shape))}), got {x.shape}")
        if x.dtype.kind not in "fiub":
            raise DataError(f"rows: expected numbers, got {x.dtype}")
        if "vocabulary" in self.facts:
            tokens(x, len(self.facts["vocabulary"]), "rows")
        x, dtype = x.reshape(-1, *shape), np.dtype(self.facts["dtype"])
        # A net that learnt from bytes may be asked about other numbers: pixels with noise, below 0 or in between.
        x = x.astype(dtype if holds(dtype, x) else np.float32)
        finite(x, "rows")
        return x

    def _mask(self, given: Any, x: np.ndarray) -> np.ndarray | None:
        if given is None:
            return None
        masked(np.asarray(given), x.shape, "mask")
        return np.asarray(given, np.float32)

    def report(self) -> Path:
        """Write the report of this run; the path of its page."""
        if self.directory is None:
            raise BacklitError("this run has no directory to write a report to; train with directory='runs/name'")
        from backlit.report import write_report

        return write_report(self.directory)

    def store_test(self, test: Dataset, outputs: np.ndarray | None) -> None:
        """test.npz: outputs and targets of the test rows, and the rows themselves when they are not large."""
        if self.directory is None or outputs is None:
            return
        steps, target = self.experiment.target_preprocessing, test.y
        if steps and self.experiment.loss.task != "regression":
            target = np.asarray(apply_all(steps, self.target_prepared, target))
        arrays = {"index": np.arange(len(test)), "target": target, "output": outputs}
        if test.mask is not None:
            arrays["mask"] = test.mask
        if test.x.nbytes <= LARGEST_ROWS:
            arrays["x"] = test.x[:]
        np.savez(self.directory / "test.npz", **arrays)  # type: ignore[arg-type]


def open_run(path: str | Path) -> Run:
    """The run stored in a directory, with the parameters of its best epoch so far.

    Errors: BacklitError when it is no run directory, CheckpointError when no good checkpoint is left.
    """
    place = RunDirectory(path)
    experiment, facts = place.experiment(), place.read("data.json")
    passed_over: list[str] = []
    found = checkpoint.newest(place.checkpoints, passed_over.append)
    if found is None or not facts:
        sentences = [f"{path}: expected a checkpoint to read, found none that is good; train first", *passed_over]
        raise CheckpointError("; ".join(sentences))
    _, params, state = blank(experiment.net).init(random.key(0), tuple(facts["row"]))
    if any(name.startswith("carry.best.") for name in found.arrays):
        params, state = checkpoint.restore((params, state), found.arrays, "carry.best")
    else:
        params = checkpoint.restore(params, found.arrays, "carry.moving.params")
        state = checkpoint.restore(state, found.arrays, "carry.moving.state")
    prepared = _fitted(found.arrays, "prepared", len(experiment.preprocessing))
    target = _fitted(found.arrays, "target", len(experiment.target_preprocessing))
    return Run(
        experiment, params, state, prepared, target, facts, place.history(), place.read("result.json"), place.path
    )


def _fitted(arrays: dict[str, np.ndarray], prefix: str, count: int) -> tuple[dict[str, np.ndarray], ...]:
    """The fitted state of `count` preprocessors, from flat names such as 'prepared.0.mean'."""
    starts = [f"{prefix}.{i}." for i in range(count)]
    return tuple({k.removeprefix(s): v for k, v in arrays.items() if k.startswith(s)} for s in starts)
