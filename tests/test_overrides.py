"""Paths of `--set`, through everything an experiment can be written as."""

import pytest

from backlit import config
from backlit.errors import SettingError
from backlit.overrides import changed

PLAIN = {
    "data": "digits",
    "net": [
        "Flatten",
        {"type": "Dense", "units": 16},
        {"name": "skip", "type": "Residual", "layers": [{"type": "Dense", "units": 16}, "Tanh"]},
        {"type": "Branch", "layers": [{"type": "Dense", "units": 5}, {"type": "Dense", "units": 5}]},
        {"name": "out", "type": "Dense", "units": 10},
    ],
    "loss": "SoftmaxCrossEntropy",
}

CASES = [
    ("batch_size=7", "batch_size", 7),
    ("optimizer.lr=1e-2", "optimizer.lr", 0.01),
    ("optimizer=SGD", "optimizer.type", "SGD"),
    ("optimizer.type=AdamW", "optimizer.type", "AdamW"),
    ("optimizer.lr={type: Cosine, start: 0.5}", "optimizer.lr.start", 0.5),
    ("loss.smoothing=0.1", "loss.smoothing", 0.1),
    ("split.test=0.3", "split.test", 0.3),
    ("stopping.patience=3", "stopping.patience", 3),
    ("checkpoint.every_epochs=2", "checkpoint.every_epochs", 2),
    ("net.dense_1.units=9", "net.dense_1.units", 9),
    ("net.1.units=9", "net.dense_1.units", 9),
    ("net.out.W=Zeros", "net.out.W.type", "Zeros"),
    ("net.out.W.distribution=uniform", "net.out.W.distribution", "uniform"),
    ("net.skip.dense_1.units=16", "net.skip.dense_1.units", 16),
    ("net.skip.layers.0.units=16", "net.skip.dense_1.units", 16),
    ("net.branch_1.join=concatenate", "net.branch_1.join", "concatenate"),
    ("net.branch_1.dense_2.b=null", "net.branch_1.dense_2.b", None),
    ("preprocessing=[Scale]", "preprocessing.0.type", "Scale"),
    ("clip={limit: 2}", "clip.limit", 2.0),
    ("frozen=[dense_1]", "frozen", ("dense_1",)),
]


@pytest.mark.parametrize(("setting", "path", "value"), CASES, ids=[c[0] for c in CASES])
@pytest.mark.parametrize("stored", [False, True], ids=["as written", "as a run stores it"])
def test_every_path_reaches_its_setting(tmp_path, setting, path, value, stored):
    plain = PLAIN
    if stored:
        config.write(config.from_plain(PLAIN), tmp_path / "experiment.yaml")
        plain = config.read(tmp_path / "experiment.yaml")
    experiment = config.from_plain(changed(plain, [setting]))
    assert config.paths(experiment)[path] == value


def test_the_given_settings_stay_as_they_are():
    before = config.from_plain(PLAIN)
    changed(PLAIN, ["net.dense_1.units=9", "optimizer.lr=1"])
    assert config.from_plain(PLAIN) == before


BAD = [
    ("optimizer.lr", "expected path=value"),
    ("=3", "expected path=value"),
    ("batch_size.a=3", "batch_size"),
    ("net.dens_1.units=3", "did you mean 'dense_1'"),
    ("net.9.units=3", "unknown layer '9'"),
    ("net.skip.dens_1.units=3", "did you mean 'dense_1'"),
    ("data.file.name=3", "data.file: unknown setting"),
    ("batchsize=3", "did you mean 'batch_size'"),
    ("optimizer.lr=fast", "optimizer.lr: expected"),
]


@pytest.mark.parametrize(("setting", "text"), BAD)
def test_bad_paths_are_one_sentence(setting, text):
    plain = {**PLAIN, "batch_size": 32}
    with pytest.raises(SettingError, match=text.replace("'", ".")):
        config.from_plain(changed(plain, [setting]))
