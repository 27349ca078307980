"""Seconds until there is something to use: `import backlit` on top of JAX, `backlit --help`, MNIST to 98 %.

    python benchmarks/startup.py [--rounds 9]

The last rows are whole processes of `backlit train mnist-mlp` with a warm compilation cache: from the start of the process
until the trained network has been tested. They need BACKLIT_DATA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

from backlit.data import find
from backlit.errors import BacklitError

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import jax": [sys.executable, "-c", "import jax"],
    "import jax, backlit": [sys.executable, "-c", "import jax, backlit"],
    "import jax, backlit, all of train": [
        sys.executable,
        "-c",
        "import jax, backlit; backlit.train, backlit.Experiment",
    ],
    "backlit --help": [str(Path(sys.executable).with_name("backlit")), "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(args.rounds + 1):
        for name, command in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:
                seconds[name].append(time.perf_counter() - begin)
    print(f"{harness.machine()}\n\n{'command':<40}{'median s':>10}{'min':>8}{'max':>8}")
    for name, spent in seconds.items():
        print(f"{name:<40}{statistics.median(spent):>10.3f}{min(spent):>8.3f}{max(spent):>8.3f}")
    pairs = zip(seconds["import jax, backlit"], seconds["import jax"], strict=True)
    beyond = statistics.median(a - b for a, b in pairs)
    pairs = zip(seconds["import jax, backlit, all of train"], seconds["import jax"], strict=True)
    whole = statistics.median(a - b for a, b in pairs)
    print(f"\nimport backlit beyond JAX: {beyond:.3f} s (wanted 0.3); with everything that trains: {whole:.3f} s")
    print(f"backlit --help: {statistics.median(seconds['backlit --help']):.3f} s (wanted 0.5)")
    results = {"seconds": seconds, "beyond_jax": beyond, "beyond_jax_training": whole}
    try:
        find("mnist/train-images-idx3-ubyte.gz")
        results["mnist"] = mnist()
    except BacklitError:
        print("mnist to 98 %: not run, BACKLIT_DATA does not name a directory with mnist/")
    print("written:", harness.store("startup", results))


def mnist(runs: int = 4) -> list[dict[str, float]]:
    """Whole processes of `backlit train mnist-mlp`; the first warms the compilation cache and does not count."""
    found = []
    for number in range(runs):
        with tempfile.TemporaryDirectory() as directory:
            command = [COMMANDS["backlit --help"][0], "train", "mnist-mlp", "--json", "--out", f"{directory}/run"]
            begin = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
            whole, result = time.perf_counter() - begin, json.loads(done.stdout)
        spent = {**result["seconds"], "process": whole, "accuracy": result["test"]["accuracy"]}
        if number:
            found.append(spent)
            print(f"mnist-mlp: test accuracy {spent['accuracy']:.4f}, {spent['total']:.2f} s from process start until "
                  f"tested (wanted 10), {whole:.2f} s with the report; {spent}")  # fmt: skip
    return found


if __name__ == "__main__":
    main()
