"""Plays, character by character: train an LSTM or a small GPT to predict the next character, then let it write.

    python examples/shakespeare.py [char-lstm | char-gpt] [DIRECTORY] [--quick]

Nats are natural units of information: the mean of -ln p(next character). A net that knows nothing of its 65 characters needs
ln 65 = 4.17, one that knows how frequent each is 3.3, and 1.6 is about where whole words and the form of a play appear.
With --quick the text is this program and the net a small one.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

import backlit as bl
from backlit import config
from backlit.training.events import EpochEnded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", nargs="?", choices=["char-lstm", "char-gpt"], default="char-lstm")
    parser.add_argument("directory", nargs="?", type=Path, default=None, help="where to store the run")
    parser.add_argument(
        "--quick", action="store_true", help="this file instead of Shakespeare, seconds instead of minutes"
    )
    given = parser.parse_args()
    experiment = config.load(given.net)
    if given.quick:
        experiment = small(experiment)

    run = bl.train(experiment, directory=given.directory, listener=listen)
    letters = "".join(run.facts["vocabulary"])
    best = min(record["validation"]["loss"] for record in run.history)
    seconds = run.result["seconds"]
    print(f"\n{given.net}: {best:.3f} nats a character on the validation part ({best / math.log(2):.2f} bits),")
    print(
        f"{bl.tree.size(run.params)} parameters, {seconds['total']:.0f} s from start to end, {seconds['train']:.0f} of training"
    )

    prompt = "def" if given.quick else "\n"
    longest = run.facts["shape"][0] - len(prompt)  # a GPT has seen no longer context
    for temperature in (0.5, 0.8, 1.0):
        print(f"\n-- temperature {temperature}")
        print(write(run, letters, prompt, longest if given.net == "char-gpt" else 300, temperature))


def write(run: bl.Run, letters: str, prompt: str, steps: int, temperature: float) -> str:
    """`prompt` and what the net makes of it, drawn character by character."""
    tokens = np.array([[letters.index(c) for c in prompt]])
    net, key = run.experiment.net, bl.random.key(7)
    drawn = bl.generate(net, run.params, run.state, tokens, steps, key, temperature, engine=run.experiment.engine)
    return "".join(letters[i] for i in np.asarray(drawn)[0])


def small(experiment: bl.Experiment) -> bl.Experiment:
    """A small net of the same kind, on the text of this program, without compiling."""
    data = bl.Characters(__file__, length=32)
    size, length = len(data.load().vocabulary), 32
    recurrent = [bl.Embedding(size, 16), bl.LSTM(32), bl.Dense(size)]
    attentive = [bl.Embedding(size, 32), bl.LearnedPositions(length), bl.TransformerEncoderBlock(2, causal=True),
                 bl.LayerNorm(), bl.Dense(size)]  # fmt: skip
    net = bl.Chain(*(recurrent if experiment.name == "char-lstm" else attentive))
    return replace(experiment, data=data, net=net, epochs=10, batch_size=8, engine="numpy")


def listen(event: object) -> None:
    """A line an epoch."""
    if isinstance(event, EpochEnded):
        record = event.record
        print(
            f"epoch {record['epoch']:3}  {record['seconds']:6.0f} s  loss {record['loss']:.3f}"
            f"  validation {record['validation']['loss']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
