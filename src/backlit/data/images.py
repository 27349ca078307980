"""Images in IDX files: any of your own, MNIST and Fashion-MNIST."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.source import Source, names_of
from backlit.data.targets import rows, targets
from backlit.errors import DataError, SettingError

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Idx(Source):
    """Images or rows with labels from IDX files, gzip or not; `test_images` and `test_labels` are a fixed test part.

    Images (N, H, W) become (N, H, W, 1), bytes stay bytes. Without `classes` the names are '0', '1', ... up to the
    largest training label. Paths are looked for as written, then within BACKLIT_DATA and the cache.
    Errors: DataError for a file that is missing, truncated or no IDX, and for a label outside 0..K-1.

    >>> import numpy as np, tempfile
    >>> from backlit.data import Idx
    >>> from backlit.data.files import write_idx
    >>> folder = tempfile.mkdtemp()
    >>> write_idx(f"{folder}/x.gz", np.zeros((4, 5, 3), "u1"))
    >>> write_idx(f"{folder}/y", np.array([0, 1, 1, 0], "u1"))
    >>> data = Idx(f"{folder}/x.gz", f"{folder}/y").load()
    >>> data.x.shape, data.classes
    ((4, 5, 3, 1), ('0', '1'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("idx",)
    images: str
    labels: str
    test_images: str = ""
    test_labels: str = ""
    classes: tuple[str, ...] = ()

    def check(self) -> None:
        if bool(self.test_images) != bool(self.test_labels):
            missing = "test_labels" if self.test_images else "test_images"
            raise SettingError([(missing, "expected a file, as the other half of the test part has one, got none")])

    def load(self) -> Dataset:
        pairs = [(self.images, self.labels), (self.test_images, self.test_labels)][: 2 if self.test_images else 1]
        paths = [(files.find(x), files.find(y)) for x, y in pairs]
        return assemble(paths, self.classes, Path(self.images).name)


@dataclass(frozen=True)
class Downloaded(Source):
    """Base of the IDX data sets that are fetched when they are nowhere on this machine."""

    abstract: ClassVar[bool] = True
    folders: ClassVar[tuple[str, ...]]
    mirrors: ClassVar[tuple[str, ...]]
    sha256: ClassVar[dict[str, str]]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""

    def load(self) -> Dataset:
        images, labels, test_images, test_labels = (self._path(part) for part in PARTS)
        return assemble([(images, labels), (test_images, test_labels)], self.names, self.folders[0])

    def _path(self, part: str) -> Path:
        known = [f"{folder}/{part}{ending}" for folder in self.folders for ending in (".gz", "")]
        packed = f"{part}.gz"
        return files.search(*known) or fetch(known[0], [m + packed for m in self.mirrors], self.sha256[packed])


@dataclass(frozen=True)
class Mnist(Downloaded):
    """70 000 handwritten digits, 28 x 28 bytes: x (60000, 28, 28, 1) uint8 and a test part of 10 000.

    Looked for as `mnist/train-images-idx3-ubyte.gz` and so on, or without .gz, within the directories of BACKLIT_DATA,
    then in the cache, then fetched. Source: LeCun, Bottou, Bengio, Haffner 1998, https://doi.org/10.1109/5.726791
    """

    aliases: ClassVar[tuple[str, ...]] = ("mnist",)
    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST", "MNIST/raw")
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }

    @property
    def names(self) -> tuple[str, ...]:
        return names_of(10)


@dataclass(frozen=True)
class FashionMnist(Downloaded):
    """70 000 pictures of clothes in 10 classes, the same shapes as MNIST and harder. Files lie in `fashion-mnist/`.

    Source: Xiao, Rasul, Vollgraf 2017, https://arxiv.org/abs/1708.07747
    """

    aliases: ClassVar[tuple[str, ...]] = ("fashion-mnist",)
    folders: ClassVar[tuple[str, ...]] = ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw")
    mirrors: ClassVar[tuple[str, ...]] = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }

    @property
    def names(self) -> tuple[str, ...]:
        return ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def assemble(paths: list[tuple[Path, Path]], names: tuple[str, ...], name: str) -> Dataset:
    """A data set from pairs of image and label files: the training part, then, if there is one, the test part."""
    parts = []
    for image_path, label_path in paths:
        x, y = files.read_idx(image_path), files.read_idx(label_path)
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise DataError(f"{label_path}: expected integer labels (N,), got {y.dtype.name} {y.shape}")
        if len(x) != len(y) or len(y) == 0:
            found = f"{len(x)} images in {image_path} and {len(y)} labels in {label_path}"
            raise DataError(f"{name}: expected one label for each image, and at least one, got {found}")
        names = names or names_of(int(y.max()) + 1)
        x = x[..., None] if x.ndim == 3 else x  # (N, H, W) -> (N, H, W, 1)
        parts.append(Dataset(rows(x, str(image_path)), targets(y, names=names, where=str(label_path))[0], names))
    return Dataset(parts[0].x, parts[0].y, names, test=parts[1] if len(parts) > 1 else None, name=name).checked()
