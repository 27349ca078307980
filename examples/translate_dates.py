"""From one sequence to another: 'tuesday, 4 july 1967' becomes '1967-07-04', by two recurrent nets and attention.

    python examples/translate_dates.py [DIRECTORY] [--quick]

The encoder reads the written date in both directions. The decoder writes the answer character by character; at each it looks
at the encoder's outputs, and attention.png shows where. The test part has days that no training row has.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import backlit as bl
from backlit import config
from backlit.data.dates import ISO, LONGEST, START, VOCABULARY, spelled
from backlit.training.events import EpochEnded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=Path("runs/translate-dates"))
    parser.add_argument(
        "--quick", action="store_true", help="few rows, one epoch, no compiling: it will not translate well"
    )
    given = parser.parse_args()
    experiment = config.load("seq2seq-dates")
    if given.quick:
        experiment = replace(experiment, data=replace(experiment.data, rows=600), epochs=1, engine="numpy")
    run = bl.train(experiment, directory=given.directory / "run", listener=listen)

    test = experiment.data.load().test
    # In training the decoder sees the right answer so far. Here it sees its own: START, then what it wrote.
    source = test.x[:, :LONGEST]
    written = translate(run, source)
    right = (written == test.y).all(axis=1)
    print(f"\n{100 * right.mean():.2f} % of {len(test)} dates of the test part are right in all {ISO} characters")
    for date, answer, good in zip(source[:10], written, right, strict=False):
        print(f"  {spelled(date):30} {spelled(answer)}{'' if good else '  wrong'}")

    path = given.directory / "attention.png"
    draw(run, source[:1], written[:1]).savefig(path, dpi=150)
    print(f"\nwhere the decoder looks: {path}")


def translate(run: bl.Run, source: np.ndarray) -> np.ndarray:
    """(N, 10) characters for written dates (N, 28): the encoder reads once, the decoder writes the likeliest character."""
    # Parallel(memory=encoder, x=the decoder's first layers), and what follows them
    (both, sides), *rest = run.experiment.net["columns_1"].layers
    params, state = run.params["columns_1"], run.state["columns_1"]
    ways = dict(sides.layers)
    read = ways["memory"].forward(params[both]["memory"], state[both]["memory"], source, bl.Context())[0]  # (N, 28, 96)
    decoder = bl.Chain(**{both: bl.Parallel(x=ways["x"], memory=bl.Chain())}, **dict(rest))
    own, its_state = ({**tree, both: {"x": tree[both]["x"], "memory": {}}} for tree in (params, state))
    prompt = {"x": np.full((len(source), 1), VOCABULARY.index(START)), "memory": read}
    return np.asarray(
        bl.generate(decoder, own, its_state, prompt, ISO, bl.random.key(0), temperature=0, engine=run.experiment.engine)
    )[:, 1:]


def draw(run: bl.Run, source: np.ndarray, written: np.ndarray) -> Figure:
    """The attention weights of one translation, the mean over the heads."""
    inside, params = dict(run.experiment.net["columns_1"].layers), run.params["columns_1"]
    start = np.full((1, 1), VOCABULARY.index(START))
    seen = {"memory": source, "x": np.concatenate([start, written[:, :-1]], axis=1)}
    x, _, _ = inside["parallel_1"].forward(
        params["parallel_1"], run.state["columns_1"]["parallel_1"], seen, bl.Context()
    )
    attention = dict(inside["branch_1"].layers)["cross_attention_1"]
    weights = attention.weights(params["branch_1"]["cross_attention_1"], x).mean(axis=1)[0]  # (10, 28)
    letters = spelled(source[0])
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(weights[:, : len(letters)], cmap="Blues", vmin=0)
    axis.set_xticks(range(len(letters)), letters)
    axis.set_yticks(range(ISO), spelled(written[0]))
    axis.set_xlabel("read")
    axis.set_ylabel("written")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("Where the decoder looks before each character it writes", loc="left", fontsize=10)
    return figure


def listen(event: object) -> None:
    """A line an epoch."""
    if isinstance(event, EpochEnded):
        held_out = event.record["validation"]
        print(
            f"epoch {event.record['epoch']:2}  validation loss {held_out['loss']:.4f}  accuracy {held_out['accuracy']:.4f}"
        )


if __name__ == "__main__":
    main()
