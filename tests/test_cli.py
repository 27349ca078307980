"""The command line as a user meets it: what it prints, where, the exit code, and every kind of bad input."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import backlit
from backlit.cli import main
from backlit.commandline import places, progress, tables
from backlit.commandline.faults import guarded
from backlit.training.events import EpochEnded, Finished, Notice, Progress, Started
from backlit.training.interrupt import Interrupted

QUICK = ["--set", "engine=numpy", "--set", "epochs=3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(here, capsys):
    """command(*words) -> exit code, stdout, stderr"""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A trained iris run; tests that use it leave it as it is."""
    path = tmp_path_factory.mktemp("cli") / "iris"
    assert main(["train", "iris", "--out", str(path), *QUICK]) == 0
    return path


def own_process(*words, **more):
    return subprocess.run(
        [sys.executable, "-m", "backlit", *words], capture_output=True, text=True, timeout=120, **more
    )


# Help and version


def test_help_lists_the_commands_and_imports_no_heavy_library():
    heavy = ("jax", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "pydantic", "yaml")
    code = (
        "import sys; from backlit.cli import main; code = main(['--help']);"
        f"print([m for m in {heavy!r} if m in sys.modules], code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    for name in ("train", "evaluate", "predict", "report", "show", "see", "gradcheck", "lr-find", "lab", "list"):
        assert name in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[] 0"


def test_version_and_bare_call(command):
    assert command("--version") == (0, f"backlit {backlit.__version__}\n", "")
    code, out, _ = command()
    assert code == 0
    assert "train" in out
    assert own_process("--version").stdout == f"backlit {backlit.__version__}\n"


def test_list_names_every_experiment_with_its_first_line(command):
    code, out, _ = command("list")
    assert code == 0
    for name in ("digits", "mnist-softmax", "mnist-mlp", "iris", "diabetes", "polynomial", "breast-cancer"):
        assert any(line.startswith(f"{name} ") and len(line.split()) > 3 for line in out.splitlines())


# Training


def test_train_prints_one_json_object_and_nothing_else_on_stdout(command, here):
    code, out, err = command("train", "iris", "--json", *QUICK)
    assert code == 0
    assert out.count("\n") == 1
    found = json.loads(out)
    assert set(found) == {"run", "test", "seconds", "steps_per_second", "parameters", "stopped", "report"}
    assert set(found["seconds"]) == {"startup", "compile", "train", "total"}
    assert found["run"] == "runs/iris"
    assert found["test"]["accuracy"] > 0.3
    assert found["parameters"] == 4 * 16 + 16 + 16 * 3 + 3
    assert (here / found["report"]).is_file()
    assert "epoch 3/3" in err


def test_train_says_how_good_how_long_and_where(command, here):
    code, out, err = command("train", "iris", *QUICK)
    assert code == 0
    assert "accuracy" in out
    assert "in all" in out
    assert "runs/iris/report" in out
    assert "131 parameters" in err
    assert "\x1b" not in out + err  # no terminal: no colours, no bar


def test_runs_get_numbers_and_names_that_stay_within_the_directory(command, here):
    for _ in range(2):
        assert command("train", "iris", *QUICK, "--set", "name=../a b")[0] == 0
    assert sorted(p.name for p in (here / "runs").iterdir()) == ["a-b", "a-b-2"]


def test_resume_goes_on_with_the_newest_run_and_needs_no_config_with_out(command, here):
    assert command("train", "iris", *QUICK)[0] == 0
    assert command("train", "iris", *QUICK)[0] == 0
    code, out, err = command("train", "iris", "--resume", "--set", "engine=numpy", "--set", "epochs=5")
    assert code == 0
    assert "going on after step 21 of 35" in err
    assert "runs/iris-2" in out
    code, _, err = command("train", "--resume", "--out", "runs/iris", "--set", "epochs=4")
    assert code == 0
    assert "going on after step 21 of 28" in err
    assert len((here / "runs/iris/metrics.jsonl").read_text().splitlines()) == 4
    assert len((here / "runs/iris-2/metrics.jsonl").read_text().splitlines()) == 5


def test_resume_without_a_run_starts_anew_and_says_so(command):
    code, _, err = command("train", "iris", "--resume", *QUICK)
    assert code == 0
    assert "nothing to resume in runs/iris" in err


def test_another_name_with_the_same_start_is_not_resumed(here):
    for name in ("iris-net", "iris-2", "iris-3"):
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "experiment.yaml").write_text("{}")
    os.utime(here / "runs/iris-3/experiment.yaml", (1, 1))
    os.utime(here / "runs/iris-3", (1, 1))
    assert places.newest("iris") == Path("runs/iris-2")
    assert places.newest("digits") is None


def test_a_file_is_an_experiment_and_so_is_a_run(command, here):
    (here / "mine.yaml").write_text(
        "data: iris\nnet: [{type: Dense, units: 3}]\nloss: SoftmaxCrossEntropy\nepochs: 2\n"
    )
    assert command("train", "mine.yaml", "--set", "engine=numpy")[0] == 0
    assert (here / "runs/mine/result.json").is_file()
    code, out, _ = command("show", "runs/mine")
    assert code == 0
    assert "15" in out


def test_a_failed_report_does_not_fail_the_training(command, monkeypatch):
    from backlit.training.run import Run

    def fails(self):
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr(Run, "report", fails)
    code, out, err = command("train", "iris", "--json", *QUICK)
    assert code == 0
    assert json.loads(out)["report"] is None
    assert "no report: report.html" in err


# Evaluate, predict, report


def test_evaluate_measures_the_test_part_again(command, stored):
    code, out, _ = command("evaluate", stored, "--json")
    assert code == 0
    found, result = json.loads(out), json.loads((stored / "result.json").read_text())
    assert found["rows"] == 30
    assert found["metrics"] == pytest.approx(result["test"])
    assert "accuracy" in command("evaluate", stored)[1]
    assert json.loads(command("evaluate", stored, "--data", "iris", "--json")[1])["metrics"] == pytest.approx(
        result["test"]
    )


def irises(path, order=(0, 1, 2, 3), extra=True):
    from sklearn.datasets import load_iris

    data = load_iris()
    names = [data.feature_names[i] for i in order] + ["kind"] * extra
    lines = [",".join(names)]
    for row, label in zip(data.data[::10], data.target[::10], strict=True):
        lines.append(",".join([*(str(row[i]) for i in order), *([str(data.target_names[label])] * extra)]))
    path.write_text("\n".join(lines) + "\n")
    return data.data[::10], data.target_names[data.target[::10]]


def test_predict_takes_columns_by_name_whatever_their_order(command, stored, here):
    x, _ = irises(here / "a.csv")
    irises(here / "b.csv", order=(3, 1, 0, 2), extra=False)
    code, out, err = command("predict", stored, "a.csv")
    assert (code, err) == (0, "")
    assert out == command("predict", stored, "b.csv")[1]
    assert len(out.splitlines()) == len(x)
    assert set(out.split()) <= {"setosa", "versicolor", "virginica"}
    assert backlit.training.run.open_run(stored).predict(x).tolist() == out.split()


def test_predict_reads_arrays_and_tables_without_names(command, stored, here):
    x, _ = irises(here / "a.csv")
    expected = command("predict", stored, "a.csv")[1]
    np.save(here / "x.npy", x)
    np.savez(here / "x.npz", x=x)
    (here / "bare.csv").write_text("\n".join(",".join(map(str, row)) for row in x))
    for name in ("x.npy", "x.npz", "bare.csv"):
        assert command("predict", stored, name)[1] == expected


def test_predict_writes_probabilities_as_csv_and_json(command, stored, here):
    irises(here / "a.csv")
    assert command("predict", stored, "a.csv", "--probabilities", "--out", "p.csv")[0] == 0
    head, *lines = (here / "p.csv").read_text().splitlines()
    assert head == "prediction,p(setosa),p(versicolor),p(virginica)"
    assert len(lines) == 15
    code, out, _ = command("predict", stored, "a.csv", "--probabilities", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["rows"] == 15
    columns = np.array([found["probabilities"][name] for name in ("setosa", "versicolor", "virginica")])
    np.testing.assert_allclose(columns.sum(axis=0), 1, rtol=1e-5)
    assert found["predictions"] == [line.split(",")[0] for line in lines]
    assert sorted(p.name for p in here.iterdir()) == ["a.csv", "p.csv"]


def test_evaluate_of_a_regression(command, here):
    assert command("train", "diabetes", "--out", "run", *QUICK)[0] == 0
    code, out, err = command("evaluate", "run", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["metrics"] == pytest.approx(json.loads((here / "run" / "result.json").read_text())["test"])


def test_evaluate_on_files_maps_the_classes(command, stored, here):
    x, kinds = irises(here / "a.csv", order=(2, 0, 3, 1))
    np.savez(here / "names.npz", x=x, y=kinds)
    np.savez(here / "numbers.npz", x=x, y=np.repeat([0, 1, 2], 5))
    found = [
        json.loads(command("evaluate", stored, "--data", f, "--json")[1]) for f in ("a.csv", "names.npz", "numbers.npz")
    ]
    assert [f["rows"] for f in found] == [15, 15, 15]
    assert found[0]["metrics"] == pytest.approx(found[1]["metrics"])
    assert found[0]["metrics"] == pytest.approx(found[2]["metrics"])
    np.savez(here / "other.npz", x=x, y=np.where(kinds == "setosa", "setosas", kinds))
    code, _, err = command("evaluate", stored, "--data", "other.npz")
    assert code == 2
    assert "got 'setosas'; did you mean 'setosa'?" in err


def test_a_regression_predicts_numbers(command, here):
    assert command("train", "polynomial", "--out", "p", *QUICK)[0] == 0
    np.save(here / "x.npy", np.ones((2, json.loads((here / "p/data.json").read_text())["shape"][0])))
    code, out, _ = command("predict", "p", "x.npy")
    assert code == 0
    assert np.isfinite(np.array(out.split(), float)).sum() == 2
    code, _, err = command("predict", "p", "x.npy", "--probabilities")
    assert code == 2
    assert "--probabilities: expected a run with classes" in err


def test_report_is_written_again(command, stored):
    code, out, _ = command("report", stored)
    assert code == 0
    assert Path(out.strip()).is_file()


# Looking inside


def test_show_is_the_table_of_layers(command):
    code, out, _ = command("show", "digits")
    assert code == 0
    for text in ("dense_1", "Dense", "8 320", "16.5 k", "total", "17 226"):
        assert text in out


def test_see_prints_every_quantity_and_the_difference(command):
    code, out, _ = command("see", "iris", "--rows", "2")
    assert code == 0
    for text in (
        "dL/dx",
        "dL/dW",
        "dense_2",
        "Tanh",
        "16 x 3",
        "Largest difference between NumPy and the compiled step",
    ):
        assert text in out
    code, out, _ = command("see", "iris", "--rows", "2", "--layer", "dense_2", "--values")
    assert code == 0
    assert "dense_1" not in out
    assert "dense_2 dL/db (Dense), 3\n[" in out


def test_gradcheck_passes_and_fails_with_exit_code_1(command, monkeypatch):
    small = ["--set", "net.dense_1.units=3", "--rows", "3"]
    code, out, _ = command("gradcheck", "iris", *small)
    assert code == 0
    assert "dense_1.W" in out
    assert command("gradcheck", "iris", "--forward", *small)[0] == 0
    right = backlit.Tanh.backward
    monkeypatch.setattr(backlit.Tanh, "backward", lambda self, p, cache, dy: right(self, p, cache, -dy))
    code, out, _ = command("gradcheck", "iris", *small)
    assert code == 1
    assert "WRONG" in out


# Bad input: exit code 2, a sentence that names the thing, no traceback, no half-made run


def write_files(folder):
    rng = np.random.default_rng(0)
    rows = [f"{a:.2f},{b:.2f},{'yes' if a > 0 else 'no'}" for a, b in rng.normal(size=(40, 2))]
    tables = {
        "good.csv": rows,
        "text.csv": [*rows[:6], "oops,1,yes", *rows[6:]],
        "empty.csv": [*rows[:6], "1,1,", *rows[6:]],
        "infinite.csv": [*rows[:6], "inf,1,yes", *rows[6:]],
        "single.csv": [row.replace("yes", "no") for row in rows],
        "two.csv": rows[:1],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(["a,b,label", *lines]))
    x = rng.normal(size=(30, 3)).astype("f")
    np.savez(folder / "outside.npz", x=x, y=np.array([0, 1, 7] * 10), classes=np.array(["u", "v", "w"]))
    np.savez(folder / "negative.npz", x=x, y=np.array([0, 1, -1] * 10), classes=np.array(["u", "v", "w"]))
    np.savez(folder / "half.npz", x=x, y=np.array([0, 1, 1.5] * 10), classes=np.array(["u", "v", "w"]))
    broken = x.copy()
    broken[4, 2] = np.nan
    np.savez(folder / "nan.npz", x=broken, y=np.array([0, 1, 2] * 10))
    (folder / "cut-ubyte").write_bytes(b"\0\0\x08\x03\0\0\0\x05\0\0\0\x04\0\0\0\x04" + bytes(7))
    (folder / "not-ubyte").write_bytes(b"hello, world")
    (folder / "labels-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05" + bytes(5))
    (folder / "bad.yaml").write_text("data: [iris\n")
    (folder / "tag.yaml").write_text("data: !!python/object/apply:os.system ['echo no']\n")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "missing.yaml").write_text("data: iris\nnet: [{type: Dense, units: 3}]\n")
    (folder / "file").write_text("")
    (folder / "full").mkdir()
    (folder / "full" / "thing").write_text("")


def csv(name):
    return ["good", "--set", f"data.path={name}"]


def npz(name):
    return ["iris", "--set", f"data={{type: npz, path: {name}}}"]


def idx(name):
    return ["iris", "--set", f"data={{type: idx, images: {name}, labels: labels-ubyte}}"]


BAD = {
    "unknown command": (None, ["trian"], "No such command 'trian'"),
    "unknown option": (None, ["train", "iris", "--rsume"], "--rsume"),
    "no experiment": (None, ["train"], "CONFIG_OR_NAME"),
    "unknown experiment": ("train", ["digts"], "unknown experiment 'digts'; did you mean 'digits'"),
    "missing file": ("train", ["nowhere.yaml"], "nowhere.yaml: no such file"),
    "no YAML": ("train", ["bad.yaml"], "bad.yaml"),
    "a tag that would run code": ("train", ["tag.yaml"], "tag.yaml"),
    "no mapping": ("train", ["list.yaml"], "list.yaml: expected a mapping"),
    "setting left out": ("train", ["missing.yaml"], "loss"),
    "not path=value": ("train", ["iris", "--set", "epochs"], "--set: expected path=value"),
    "unknown setting": (
        "train", ["iris", "--set", "optimizer.lrr=1"], "optimizer.lrr: unknown setting 'lrr'; did you mean 'lr'",
    ),
    "unknown layer": ("train", ["iris", "--set", "net.tanh_1.type=Tahn"], "unknown layer 'Tahn'; did you mean 'Tanh'"),
    "no such layer": ("train", ["iris", "--set", "net.dense_7.units=2"], "net.dense_7"),
    "wrong type": ("train", ["iris", "--set", "epochs=many"], "epochs: expected an integer, got 'many'"),
    "wrong range": (
        "train", ["iris", "--set", "optimizer.lr=-1"], "optimizer.lr: expected a number greater than 0, got -1",
    ),
    "too few outputs": ("train", ["iris", "--set", "net.dense_2.units=2"], "at least 3 outputs"),
    "shapes that do not fit": (
        "train", ["iris", "--set", "net=[{type: Residual, layers: [{type: Dense, units: 5}]}]"], "net.residual_1",
    ),
    "unknown frozen parameter": ("train", ["iris", "--set", "frozen=[dense_9]"], "frozen: unknown parameter 'dense_9'"),
    "label outside": ("train", npz("outside.npz"), "got 7"),
    "negative label": ("train", npz("negative.npz"), "got -1"),
    "label no integer": ("train", npz("half.npz"), "1.5"),
    "NaN": ("train", npz("nan.npz"), "row 4, column 2"),
    "infinity": ("train", csv("infinite.csv"), "row 7"),
    "text in a column of numbers": (
        "train", csv("text.csv"), "row 7 (line 8 of the file), column 'a': expected a number, got 'oops'",
    ),
    "empty cell": ("train", csv("empty.csv"), "row 7"),
    "missing data file": ("train", csv("nowhere.csv"), "nowhere.csv: no such file"),
    "single class": ("train", csv("single.csv"), "two classes"),
    "no row left": ("train", csv("two.csv"), "split"),
    "batch larger than the data": (
        "train", ["iris", "--set", "batch_size=500"], "batch_size: expected at most the 97 training rows, got 500",
    ),
    "truncated IDX": ("train", idx("cut-ubyte"), "cut-ubyte: truncated"),
    "no IDX": ("train", idx("not-ubyte"), "not-ubyte: not an IDX file"),
    "directory with files": ("train", ["iris", "--out", "full"], "full: expected a new directory"),
    "out is a file": ("train", ["iris", "--out", "file"], "file: expected a directory for the run, got a file"),
    "nothing to resume there": ("train", ["--resume", "--out", "gone"], "gone: expected the directory of a run"),
    "no run": (None, ["evaluate", "full"], "full: expected the directory of a run"),
    "no run to report": (None, ["report", "gone"], "gone: expected the directory of a run"),
    "too many rows to see": (None, ["see", "iris", "--rows", "9999"], "--rows: expected 1 to 97"),
    "no such layer to see": (None, ["see", "iris", "--layer", "dense_9"], "--layer: unknown layer 'dense_9'"),
    "rows no number": (None, ["gradcheck", "iris", "--rows", "x"], "--rows"),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "words", "named"), BAD.values(), ids=list(BAD))
def test_bad_input_is_one_sentence_and_leaves_nothing(command, here, verb, words, named):
    write_files(here)
    (here / "good.yaml").write_text(
        "data: {type: csv, path: good.csv, target: label}\nnet: [{type: Dense, units: 2}]\n"
        "loss: SoftmaxCrossEntropy\nbatch_size: 8\nepochs: 1\nengine: numpy\n"
    )
    before = sorted(here.rglob("*"))
    if words[0] == "good":
        words = ["good.yaml", *words[1:]]
    code, out, err = command(*([verb] if verb else []), *words)
    assert code == 2
    assert out == ""
    assert named in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    assert sorted(here.rglob("*")) == before


def test_several_wrong_settings_are_all_said(command):
    code, _, err = command("train", "iris", "--set", "epochs=0", "--set", "optimizer.lr=x")
    assert code == 2
    assert "error: optimizer.lr: " in err
    assert "error: epochs: " in err


def test_predict_names_what_does_not_fit(command, stored, here):
    irises(here / "a.csv")
    text = (here / "a.csv").read_text()
    (here / "named.csv").write_text(text.replace("petal width (cm)", "petal width"))
    (here / "oops.csv").write_text(text.replace("5.1", "five", 1))
    (here / "narrow.csv").write_text("1,2,3\n4,5,6\n")
    np.save(here / "wide.npy", np.ones((2, 9)))
    np.save(here / "objects.npy", np.array([{}, 1], dtype=object))
    np.save(here / "nan.npy", np.full((2, 4), np.nan))
    expected = {
        "named.csv": "no such column", "oops.csv": "row 1 (line 2 of the file), column 'sepal length (cm)'",
        "narrow.csv": "expected 4 columns", "wide.npy": "(2, 9)", "objects.npy": "objects.npy", "nan.npy": "finite",
        "gone.csv": "gone.csv: no such file", "a.pdf": "no such file",
    }  # fmt: skip
    expected["named.csv"] = "expected a column 'petal width (cm)'"
    for name, text in expected.items():
        code, out, err = command("predict", stored, name)
        assert (code, out, text in err, len(err.splitlines())) == (2, "", True, 1), (name, err)
    code, _, err = command("predict", stored, "a.csv", "--out", "no/such/place.csv")
    assert code == 2
    assert "no/such/place.csv" in err


def test_a_missing_library_is_named_with_the_line_that_installs_it(command, here, monkeypatch):
    write_files(here)
    monkeypatch.setitem(sys.modules, "pandas", None)
    code, _, err = command("train", "iris", "--set", "data={type: csv, path: good.csv, target: label}")
    assert code == 2
    assert "pip install pandas" in err


def test_an_existing_run_is_kept(command, stored):
    before = {p: p.read_bytes() for p in stored.rglob("*") if p.is_file()}
    code, _, err = command("train", "iris", "--out", stored, *QUICK)
    assert code == 2
    assert "add --resume to go on with it" in err
    code, _, err = command("train", "iris", "--out", stored, "--resume", *QUICK, "--set", "optimizer.lr=0.5")
    assert code == 2
    assert "optimizer.lr: expected 0.01, as this run was started, got 0.5" in err
    assert {p: p.read_bytes() for p in stored.rglob("*") if p.is_file()} == before


def test_a_corrupt_checkpoint_is_passed_over_and_none_left_is_said(command, here):
    assert command("train", "iris", "--out", "r", *QUICK, "--set", "checkpoint.every_epochs=1")[0] == 0
    saved = sorted((here / "r/checkpoints").glob("*/arrays.safetensors"))
    assert len(saved) >= 2
    saved[-1].write_bytes(saved[-1].read_bytes()[:-7])
    code, _, err = command("train", "--resume", "--out", "r")
    assert code == 0
    assert f"r/checkpoints/{saved[-1].parent.name}" in err
    assert "going on after step" in err
    for file in (here / "r/checkpoints").glob("*/arrays.safetensors"):
        file.write_bytes(b"nothing")
    code, out, err = command("evaluate", "r")
    assert (code, out) == (2, "")
    assert "found none that is good" in err
    assert "Traceback" not in err


# Signals, disks, pipes, our own mistakes


def test_exit_codes_of_what_can_happen(capsys):
    def raises(error):
        def call():
            raise error

        return call

    cases = [
        (Interrupted(signal.SIGTERM, 7, "saved in r"), 143, "stopped by SIGTERM after step 7; saved in r"),
        (Interrupted(signal.SIGINT, 7, "saved in r"), 130, "stopped by SIGINT after step 7; saved in r"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.npz"),
            2,
            "x.npz: could not be written or read: No space left",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x.npz"),
            2,
            "x.npz: could not be written or read: Permission",
        ),
    ]
    for error, code, text in cases:
        assert guarded(raises(error)) == code
        assert text in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        guarded(raises(ZeroDivisionError()))
    assert guarded(lambda: 1) == 1
    assert guarded(lambda: None) == 0


def test_our_own_mistake_says_first_where_the_checkpoints_are(command, here, monkeypatch, capsys):
    def breaks(experiment, directory, **more):
        (Path(directory) / "checkpoints").mkdir(parents=True)
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("backlit.training.loop.fit", breaks)
    with pytest.raises(ZeroDivisionError):
        main(["train", "iris"])
    assert "checkpoints are kept in runs/iris/checkpoints" in capsys.readouterr().err


def test_a_signal_stops_saves_and_resumes(here):
    words = ["train", "iris", "--out", "r", "--set", "engine=numpy", "--set", "epochs=100000", "--set", "stopping=null"]
    running = subprocess.Popen(
        [sys.executable, "-m", "backlit", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (here / "r/metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 143
    assert out == b""
    assert b"stopped by SIGTERM after step" in err
    assert b"Traceback" not in err
    epochs = len((here / "r/metrics.jsonl").read_text().splitlines()) + 2
    resumed = own_process("train", "--resume", "--out", "r", "--set", f"epochs={epochs}", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run"] == "r"
    assert "going on after step" in resumed.stderr


def test_results_that_do_not_fit_on_the_disk_end_with_a_sentence(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert main(["list"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: could not be written or read: No space left on device; free some space")


def test_a_reader_who_has_gone_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run([sys.executable, "-m", "backlit", "list"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_files_that_may_not_grow_end_a_training_with_a_sentence(here):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from backlit.cli import main; sys.exit(main(['train', 'iris', '--set', 'engine=numpy', '--set', 'epochs=40']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "File too large" in ran.stderr


# Progress


class Terminal:
    """A file that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def events():
    yield Started("net", 1234, {"train": 1000, "validation": 0, "test": 10}, 20, 10, 0, "one device")
    yield Notice("a [checkpoint] was passed over")
    for epoch in (1, 2):
        yield Progress(10 * epoch - 5, epoch, 0.5, 0.25, 1000.0)
        yield EpochEnded({"epoch": epoch, "step": 10 * epoch, "loss": 0.125, "accuracy": 0.75,
                          "validation": {"loss": 0.25, "accuracy": 0.625}})  # fmt: skip
    yield Finished({"stopped": "finished"})


def test_lines_where_there_is_no_terminal(capsys):
    with progress.shown() as listener:
        for event in events():
            listener(event)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "net: 1 234 parameters; rows: 1 000 train, 10 test"
    assert lines.pop(1) == "2 epochs of 10 steps; one device"
    assert lines[1] == "a [checkpoint] was passed over"
    assert lines[2].startswith(
        "epoch 1/2  loss 0.125  accuracy 0.75  validation loss 0.25 accuracy 0.625  1 000 steps/s"
    )
    assert lines[3].startswith("epoch 2/2")
    assert len(lines) == 4


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    file = Terminal()
    with progress.shown(file) as listener:
        for event in events():
            listener(event)
    for text in ("reading data, compiling", "1 234 parameters", "a [checkpoint] was passed over", "epoch 2/2", "━━━"):
        assert text in file.text
    for text in ("loss 0.125", "accuracy 0.75", "validation loss 0.25 accuracy 0.625", "1 000 steps/s"):
        assert text in file.text
    assert file.text.rstrip("\r\n").endswith("\x1b[?25h")  # the cursor is shown again


def test_the_terminal_is_put_right_after_an_error(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()

    def training():
        with progress.shown(file) as listener:
            listener(next(events()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training()
    assert file.text.count("\x1b[?25l") == file.text.count("\x1b[?25h")


def test_a_reader_who_has_gone_does_not_end_the_training():
    class Gone(Terminal):
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

    with progress.shown(Gone()) as listener:
        for event in events():
            listener(event)


def test_time_left_counts_from_where_training_went_on(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    standing = progress.Standing()
    standing.hear(Started("net", 1, {}, 100, 10, 50, "one device"))
    assert standing.left is None
    now[0] = 110.0
    standing.hear(Progress(60, 6, 1.0, None, 1.0))
    assert standing.left == pytest.approx(40.0)


def test_numbers_as_a_person_reads_them():
    assert [progress.clock(s) for s in (3.2, 63, 3723)] == ["0:03", "1:03", "1:02:03"]
    assert [tables.size(n) for n in (0, 999, 3136, 4_500_000)] == ["0 B", "999 B", "3.14 kB", "4.5 MB"]
    assert [tables.amount(n) for n in (0, 9_999, 401_664, 2_000_000_000)] == ["0", "9 999", "402 k", "2 G"]
    assert tables.metrics({"loss": 0.5, "accuracy": 0.9}, 100) == "accuracy 0.9 (95 %: 0.826 to 0.945), loss 0.5"


def test_json_has_no_nan(capsys):
    tables.print_json({"a": float("nan"), "b": [np.float32(1.5), float("inf")], "c": {"d": None}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": {"d": None}}


def test_the_process_start_is_before_now():
    began = places.process_start()
    assert 0 < time.time() - began < 24 * 3600
