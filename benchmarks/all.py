"""Every benchmark, one after another; results go to benchmarks/results/."""

import subprocess
import sys
from pathlib import Path

NAMES = (
    "startup",
    "small",
    "mlp",
    "layers",
    "nets",
    "optimizers",
    "lbfgs",
    "lr_find",
    "augmentation",
    "data",
    "tables",
)


def main() -> None:
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)


if __name__ == "__main__":
    main()
