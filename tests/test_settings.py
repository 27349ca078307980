"""Settings check themselves, and every mistake is one sentence: where, what was expected, what came."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from annotated_types import Ge

import backlit as bl
from backlit import optim
from backlit.errors import SettingError, nearest, received
from backlit.initializers import Initializer
from backlit.losses import SquaredError
from backlit.protocol import Layer, Loss
from backlit.settings import Count, PositiveNumber, Settings, build, checked, known, lookup, plain


@dataclass(frozen=True)
class Meal(Settings):
    """A class of these tests' own."""

    guests: Count
    salt: float = 0.5
    courses: tuple[int, ...] = (1, 2)
    wine: Literal["red", "white"] | None = None
    hot: bool = True
    heat: PositiveNumber = 1.0


def sentence(make: Any) -> str:
    with pytest.raises(SettingError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: Meal(0), "guests: expected a number greater than or equal to 1, got 0"),
        (lambda: Meal(2.5), "guests: expected an integer, got 2.5"),
        (lambda: Meal(True), "guests: expected an integer, got True"),
        (lambda: Meal(None), "guests: expected an integer, got None"),
        (lambda: Meal(1, salt="much"), "salt: expected a number, got 'much'"),
        (lambda: Meal(1, salt=float("nan")), "salt: expected a finite number, got nan"),
        (lambda: Meal(1, salt=True), "salt: expected a number, got True"),
        (lambda: Meal(1, courses=3), "courses: expected a list, got 3"),
        (lambda: Meal(1, courses=[1, "x"]), "courses.1: expected an integer, got 'x'"),
        (lambda: Meal(1, wine="blue"), "wine: expected 'red' or 'white', got 'blue'"),
        (lambda: Meal(1, hot="lukewarm"), "hot: expected true or false, got 'lukewarm'"),
        (lambda: Meal(1, heat=0), "heat: expected a number greater than 0, got 0"),
        (lambda: Meal(1, heat=np.float32(-1)), "heat: expected a number greater than 0, got -1.0"),
        (lambda: Meal(1, heat=[1.0]), "heat: expected a number, got [1.0]"),
        (lambda: Meal(1, heat=bl.ReLU()), "heat: expected a Schedule, its name, or a mapping with 'type', got ReLU()"),
        (lambda: Meal(0, salt="x"), "guests: expected a number greater than or equal to 1, got 0\n"
                                    "salt: expected a number, got 'x'"),
        (lambda: Meal.from_plain({}), "guests: a value is required by Meal, got none"),
        (lambda: Meal.from_plain({"guest": 1}), "guest: unknown setting 'guest'; did you mean 'guests'?\n"
                                                "guests: a value is required by Meal, got none"),
        (lambda: Meal.from_plain({"guests": 1, 7: 1}),
         "7: unknown setting '7'; known: courses, guests, heat, hot, salt, wine"),
    ],
)  # fmt: skip
def test_wrong_fields_are_told_with_their_path(make, wanted):
    assert sentence(make) == wanted


def test_values_are_taken_as_files_and_command_lines_write_them():
    meal = Meal.from_plain({"guests": 3.0, "salt": 1, "courses": [1, 2, 3], "wine": None, "hot": "false"})
    assert meal == Meal(3, salt=1.0, courses=(1, 2, 3), hot=False)
    assert isinstance(meal.guests, int)
    assert isinstance(meal.salt, float)
    assert Meal(np.int64(4)).guests == 4


def test_only_what_differs_from_the_default_is_written():
    assert plain(Meal(2)) == {"type": "Meal", "guests": 2}
    assert plain(Meal(2, salt=0.7, courses=(3,))) == {"type": "Meal", "guests": 2, "salt": 0.7, "courses": [3]}
    assert plain({"a": (np.float32(0.5), None)}) == {"a": [0.5, None]}
    assert build(Meal, plain(Meal(2, wine="red"))) == Meal(2, wine="red")
    assert build(Meal, {"guests": 2}) == Meal(2), "a final class needs no type"


def test_settings_are_values():
    assert Meal(2) == Meal(2)
    assert hash(Meal(2)) == hash(Meal(2))
    assert len({bl.Dense(3), bl.Dense(3), bl.Dense(4)}) == 2
    with pytest.raises(AttributeError):
        Meal(2).guests = 3


def test_a_population_may_vary_a_number_inside_one_program():
    values = jnp.asarray([0.5, 1.0])
    assert Meal(1, heat=values).heat is values
    seen = []
    jax.jit(lambda v: seen.append(Meal(1, heat=v).heat) or v)(jnp.float32(2))
    assert isinstance(seen[0], jax.core.Tracer)
    assert isinstance(Meal(1, heat=np.float32(0.5)).heat, float), "a NumPy number is a number"


def test_a_number_may_be_a_schedule():
    assert bl.SGD(lr={"type": "cosine", "start": 0.1}).lr == optim.Cosine(0.1)
    assert sentence(lambda: bl.SGD(lr={"type": "cosinus", "start": 1})) == (
        "lr: unknown schedule 'cosinus'; did you mean 'Cosine'?"
    )
    assert sentence(lambda: bl.SGD(lr={"start": 1})) == "lr.type: expected the name of a Schedule, got nothing"


# Names


@pytest.mark.parametrize("name", ["LeakyReLU", "leakyrelu", "leaky_relu", "Leaky-ReLU"])
def test_names_are_found_whatever_their_case(name):
    assert lookup(Layer, name) is bl.LeakyReLU
    assert build(Layer, name) == bl.LeakyReLU()


@pytest.mark.parametrize(
    ("kind", "alias", "name"),
    [
        (Layer, "Swish", "SiLU"),
        (Layer, "logistic", "Sigmoid"),
        (Initializer, "glorot", "Xavier"),
        (Initializer, "Kaiming", "He"),
        (Initializer, "MSRA", "He"),
        (Loss, "mse", "SquaredError"),
    ],
)
def test_aliases_name_the_same_thing(kind, alias, name):
    assert build(kind, alias) == build(kind, name)
    assert plain(build(kind, alias))["type"] == name
    assert build(Loss, "MSE") == SquaredError()


def test_a_subclass_has_a_name_of_its_own_and_takes_no_alias():
    @dataclass(frozen=True)
    class Louder(SquaredError):
        """Another loss."""

    assert type(build(Loss, "MSE")) is SquaredError
    assert type(build(Loss, "louder")) is Louder


def test_abstract_classes_have_no_name():
    names = known(Layer)
    assert {"Dense", "Chain", "Autodiff"} <= names.keys()
    assert not {"Layer", "Activation", "Composite"} & names.keys()
    assert "unknown layer 'Activation'" in sentence(lambda: build(Layer, "Activation"))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("Dens", "unknown layer 'Dens'; did you mean 'Dense'?"),
        ({"type": "Densee", "units": 1}, "unknown layer 'Densee'; did you mean 'Dense'?"),
        ({"units": 1}, "type: expected the name of a Layer, got nothing"),
        ({"type": 3}, "type: expected the name of a Layer, got 3"),
        ({"type": "Dense"}, "units: a value is required by Dense, got none"),
        ({"type": "Dense", "units": 1, "W": "Hee"}, "W: unknown initializer 'Hee'; did you mean 'He'?"),
        ({"type": "Dense", "units": 1, "W": None},
         "W: expected an Initializer, its name, or a mapping with 'type', got None"),
        ({"type": "Dense", "units": 1, "W": {"type": "Normal", "std": -1}},
         "W.std: expected a number greater than or equal to 0, got -1"),
        (7, "expected a Layer, its name, or a mapping with 'type', got 7"),
        (["ReLU", {"type": "Dense", "units": 0}, {"name": "out", "type": "Tanhh"}],
         "dense_1.units: expected a number greater than or equal to 1, got 0\n"
         "out: unknown layer 'Tanhh'; did you mean 'Tanh'?"),
        ([{"type": "ReLU", "name": 5}], "layers.0.name: expected text, got 5"),
        ([{"type": "ReLU", "name": "a.b"}], "layers: a name holds no dot, got 'a.b'"),
        ([{"type": "ReLU", "name": "a"}, {"type": "Tanh", "name": "a"}],
         "layers: expected unique names, got 'a' twice"),
        ([{"type": "Branch", "join": "glue", "layers": []}],
         "branch_1.join: expected 'add' or 'concatenate', got 'glue'"),
    ],
)  # fmt: skip
def test_wrong_nets_are_told_with_their_path(value, wanted):
    assert sentence(lambda: build(Layer, value)) == wanted


def test_a_file_names_classes_and_never_code():
    for name in ("os.system", "backlit.layers.Dense", "__import__('os')", "builtins.print"):
        assert "unknown layer" in sentence(lambda name=name: build(Layer, {"type": name}))


def test_a_list_of_layers_is_a_chain():
    net = build(Layer, ["ReLU", ["Tanh", {"type": "Dense", "units": 3}], {"name": "out", "type": "Dense", "units": 2}])
    assert net == bl.Chain(bl.ReLU(), bl.Chain(bl.Tanh(), bl.Dense(3)), out=bl.Dense(2))
    assert plain(net)["layers"][-1] == {"name": "out", "type": "Dense", "units": 2}


# One judge


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (int | Literal["auto"], "aut", "expected an integer or 'auto', got 'aut'"),
        (Annotated[int, Ge(2)] | None, 1, "expected a number greater than or equal to 2, got 1"),
        (tuple[float, float], [1], "1: expected a value, got nothing"),
        (str, True, "expected text, got True"),
        (dict[str, float], 3, "expected a mapping, got 3"),
    ],
)
def test_checked_tells_what_was_expected(hint, value, wanted):
    assert sentence(lambda: checked(hint, value)) == wanted


@pytest.mark.parametrize(
    ("hint", "value"),
    [(bool, True), (bool | None, None), (Literal["a", True], True), (Any, True), (dict[str, Any], {"a": True})],
)
def test_checked_leaves_right_values_alone(hint, value):
    assert checked(hint, value) == value
    assert type(checked(hint, value)) is type(value)


def test_the_nearest_name_is_offered_or_all_of_them():
    assert nearest("adm", ["Adam", "SGD"]) == "did you mean 'Adam'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert received("x" * 100) == "'" + "x" * 56 + "..."


def test_errors_grow_their_path_outwards():
    error = SettingError([("lr", "expected a number"), ("", "is wrong")]).under("optimizer")
    assert error.problems == [("optimizer.lr", "expected a number"), ("optimizer", "is wrong")]
    assert str(error.under("run")) == "run.optimizer.lr: expected a number\nrun.optimizer: is wrong"
