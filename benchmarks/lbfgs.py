"""L-BFGS to the optimum: logistic regression with an L2 penalty, against scikit-learn's lbfgs and SciPy's.

    python benchmarks/lbfgs.py [--rounds 5] [--only cancer mnist] [--memory 40] [--rows 60000]

Every side minimises mean cross-entropy + l2/2 |W|^2 from zero until the gradient's largest number is below the same
tolerance; scikit-learn's C is 1 / (l2 rows), its tol means the same. A round is one fit (20 of the small one) from NumPy
arrays to parameters. Ours is one compiled program, in float32 and with a memory of 40 steps, compiled before: the first fit,
with its compilation, stands apart. What is compared: the objective of each side's parameters, computed in float64 by NumPy,
and how far it is above what SciPy reaches with a tolerance a hundred times smaller.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import harness
import numpy as np

import backlit as bl


@dataclass(frozen=True)
class Task:
    """A penalty, a tolerance, and how many fits make a round."""

    l2: float
    tolerance: float
    fits: int
    most: int = 5000


TASKS = {"cancer": Task(l2=1e-2, tolerance=1e-5, fits=20), "mnist": Task(l2=1e-3, tolerance=3e-6, fits=1)}


@cache
def rows(task: str, dtype: str) -> tuple[Any, Any]:
    """Breast cancer, standardised, 569 x 30; MNIST's training rows from 0 to 1, 60000 x 784."""
    data = (bl.BreastCancer() if task == "cancer" else bl.Mnist()).load()
    x, y = np.asarray(data.x, np.float64), np.asarray(data.y, np.int32)
    if task == "cancer":
        return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(dtype), y
    some = int(os.environ.get("LBFGS_ROWS", 60_000))
    x, y = (x.reshape(len(x), -1) / 255.0)[:some], y[:some]
    return np.ascontiguousarray(x.astype(dtype)), y


def objective(task: str, theta: Any) -> tuple[float, Any]:
    """Value and gradient at theta (K, 1 + D), biases first, in float64; K is 1 for two classes."""
    (x, y), l2 = rows(task, "float64"), TASKS[task].l2
    theta = np.asarray(theta, np.float64).reshape(1 if task == "cancer" else 10, -1)
    b, W = theta[:, 0], theta[:, 1:]
    z = x @ W.T + b  # (N, K)
    if len(theta) == 1:
        sign = np.where(y == 1, 1.0, -1.0)[:, None]
        value, dz = np.logaddexp(0.0, -sign * z).mean(), -sign / (1.0 + np.exp(sign * z))
    else:
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        here = np.arange(len(y)), y
        value, dz = (np.log(total[:, 0]) - z[here]).mean(), p / total
        dz[here] -= 1.0
    dz /= len(x)
    slopes = np.concatenate([dz.sum(axis=0)[:, None], dz.T @ x + l2 * W], axis=1)
    return float(value + 0.5 * l2 * (W * W).sum()), slopes.ravel()


class Side(ABC):
    """Fits, and what the last fit came to, left in a file."""

    def __init__(self, task: str, dtype: str, file: str) -> None:
        warnings.simplefilter("ignore")
        self.task, self.dtype, self.file, self.settings = task, dtype, Path(file), TASKS[task]
        self.x, self.y = rows(task, dtype)
        self.theta: Any = None
        begin = time.perf_counter()
        self.counts = self.fit()
        self.first = time.perf_counter() - begin

    @abstractmethod
    def fit(self) -> dict[str, Any]:
        """One fit; iterations and evaluations."""

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.counts = self.fit()

    def loss(self) -> float:
        """The objective of the last fit."""
        value, slopes = objective(self.task, self.theta)
        found = {"objective": value, "gradient": float(abs(slopes).max()), "first": self.first, **self.counts}
        self.file.write_text(json.dumps(found))
        return value


class Backlit(Side):
    """One compiled program."""

    def __init__(self, task: str, dtype: str, file: str, memory: int) -> None:
        from backlit import engine
        from backlit.optim import LBFGS, Objective, minimize

        self.engine, two, s = engine.get("xla"), task == "cancer", TASKS[task]
        net = bl.Dense(1 if two else 10)
        loss = bl.losses.BinaryCrossEntropy() if two else bl.SoftmaxCrossEntropy()
        rule, penalty = LBFGS(memory=memory), bl.L1L2(l2=s.l2)

        def run(x: Any, y: Any) -> Any:
            xp = x.__array_namespace__()
            params = {"W": xp.zeros((x.shape[1], net.units), dtype=x.dtype), "b": xp.zeros(net.units, dtype=x.dtype)}
            whole = Objective.of(net, loss, {}, x, y, penalty=penalty)
            return minimize(whole, params, rule, steps=s.most, tolerance=s.tolerance)

        with self.engine.double():
            self.run = self.engine.compile(run)
            super().__init__(task, dtype, file)

    def fit(self) -> dict[str, Any]:
        with self.engine.double():
            found = self.engine.ready(self.run(self.x, self.y))
        params = bl.tree.map(np.asarray, found.params)
        self.theta = np.concatenate([params["b"][:, None], params["W"].T], axis=1)
        return {"iterations": int(found.steps), "evaluations": int(found.evaluations)}


class Sklearn(Side):
    """LogisticRegression(solver="lbfgs"); it does not tell its evaluations."""

    def fit(self) -> dict[str, Any]:
        from sklearn.linear_model import LogisticRegression

        s = self.settings
        model = LogisticRegression(C=1.0 / (s.l2 * len(self.x)), tol=s.tolerance, max_iter=s.most)
        model.fit(self.x, self.y)
        self.theta = np.concatenate([model.intercept_[:, None], model.coef_], axis=1)
        return {"iterations": int(model.n_iter_[0]), "evaluations": None}


class Scipy(Side):
    """minimize(method="L-BFGS-B") with the value and gradient above."""

    def fit(self) -> dict[str, Any]:
        found = solve(self.task, self.settings.tolerance)
        self.theta = found.x
        return {"iterations": int(found.nit), "evaluations": int(found.nfev)}


def solve(task: str, tolerance: float) -> Any:
    """By SciPy."""
    from scipy.optimize import minimize

    start = np.zeros(31 if task == "cancer" else 7850)
    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": TASKS[task].most, "maxfun": 2 * TASKS[task].most}
    return minimize(lambda w: objective(task, w), start, jac=True, method="L-BFGS-B", options=options)


def compare(task: str, rounds: int, memory: int, folder: Path) -> dict[str, Any]:
    """The race, the counts, and how far each is above the reference."""
    s, files = TASKS[task], {}

    def side(name: str, kind: Any, dtype: str, *more: Any) -> tuple[Any, tuple[Any, ...]]:
        files[name] = folder / f"{task} {name}.json"
        return kind, (task, dtype, str(files[name]), *more)

    sides = {
        "backlit": side("backlit", Backlit, "float32", memory),
        "backlit memory 10": side("backlit memory 10", Backlit, "float32", 10),
        "backlit float64": side("backlit float64", Backlit, "float64", memory),
        "scikit-learn": side("scikit-learn", Sklearn, "float64"),
        "scikit-learn float32": side("scikit-learn float32", Sklearn, "float32"),
        "SciPy": side("SciPy", Scipy, "float64"),
    }
    found = harness.race(sides, s.fits, rounds, warm=0 if task == "mnist" else 1)
    for name, row in found.items():
        if "median" in row:
            row.update(json.loads(files[name].read_text()), seconds=1.0 / row["median"])
    reference = float(solve(task, s.tolerance / 100).fun)
    return {"sides": found, "reference": reference, "settings": vars(s), "memory": memory}


def table(task: str, made: dict[str, Any]) -> str:
    """Ratio first: how many times as long the side takes."""
    s, found, reference = TASKS[task], made["sides"], made["reference"]
    lines = [
        f"{task}, l2 {s.l2:g}, tolerance {s.tolerance:g}, memory {made['memory']}; reference {reference:.12f}",
        f"{'side':<22}{'side / ours':>12}{'seconds':>10}{'iterations':>12}{'evaluations':>12}{'above':>10}{'first fit s':>12}",
    ]
    for name, row in found.items():
        if "error" in row:
            lines.append(f"{name:<22}  not run: {row['error']}")
            continue
        ratio = harness.paired(found["backlit"]["rates"], row["rates"])
        above = (row["objective"] - reference) / reference
        lines.append(
            f"{name:<22}{ratio:>12.2f}{row['seconds']:>10.4g}{row['iterations']:>12}{row['evaluations'] or '-':>12}"
            f"{above:>10.1e}{row['first']:>12.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument(
        "--rows", type=int, default=60_000, help="of MNIST; fewer for a quick look, which is not stored"
    )
    args = parser.parse_args()
    os.environ["LBFGS_ROWS"] = str(args.rows)  # read by the sides, each in a process of its own
    print(harness.machine())
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for task in args.only:
            results[task] = compare(task, args.rounds, args.memory, Path(folder))
            print("\n" + table(task, results[task]), flush=True)
    if set(results) == set(TASKS) and args.rows == 60_000:
        print("\nwritten:", harness.store("lbfgs", results))


if __name__ == "__main__":
    main()
