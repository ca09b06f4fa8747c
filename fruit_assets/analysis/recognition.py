"""Evidence that the components serve: a baseline classifier and what it confuses.

Put here the split, the classifier and its scores. It is a yardstick for the features, not the
recognition model that the company will train.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fruit_assets.storage.artifacts import array_bytes, read_array, read_file

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.storage.delta.version import Version

# Enough to judge the components, and it bounds the driver's memory and time.
MAX_IMAGES = 20_000
REPORT_FILE = "recognition.json"
CONFUSION_FILE = "confusion.npy"


@dataclass(frozen=True)
class Recognition:
    """Scores of the baseline on images it was not trained on.

    Attributes:
        accuracy: share of test images recognised.
        macro_f1: F1 averaged over the labels that have test images.
        chance: accuracy of always naming the most frequent training label.
        train_images: images it was trained on.
        test_images: images it was tested on.
        labels: names of the rows and columns of `confusion`.
        per_label: label -> precision, recall, f1, test images.
        confusion: (labels, labels) counts, true label by row.
    """

    accuracy: float
    macro_f1: float
    chance: float
    train_images: int
    test_images: int
    labels: list[str]
    per_label: dict[str, dict[str, float]]
    confusion: "np.ndarray"

    def to_files(self) -> dict[str, bytes]:
        report = {name: value for name, value in asdict(self).items() if name != "confusion"}
        text = json.dumps(report, indent=1, ensure_ascii=False).encode()
        return {REPORT_FILE: text, CONFUSION_FILE: array_bytes(self.confusion)}

    @staticmethod
    def of(version: "Version") -> "Recognition":
        report = json.loads(read_file(version, REPORT_FILE))
        return Recognition(confusion=read_array(version, CONFUSION_FILE), **report)


def evaluate(points: "np.ndarray", labels: list[str], paths: list[str], *, test_share: float = 0.3) -> Recognition:
    """Train a linear discriminant on a split of the components and score it on the rest.

    The split depends on the paths only: of every label the images of lowest hash are for testing, and at
    least one is for training. Components are whitened by their spread first.

    Args:
        points: (n, k) components.
        labels: n labels.
        paths: n paths.
        test_share: share of every label for testing.
    """
    import numpy as np
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.neighbors import KNeighborsClassifier

    names = np.array(labels)
    is_test = _test_rows(names, paths, test_share)
    train, test = ~is_test, is_test
    known = sorted(set(labels))
    if not test.any() or len(set(names[train])) < 2:
        return _nothing_to_say(known, int(train.sum()))
    # A discriminant needs more images than labels to estimate the spread within them.
    enough = train.sum() > len(set(names[train]))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto") if enough else KNeighborsClassifier(1)
    predicted = model.fit(points[train], names[train]).predict(points[test])
    return _scored(names[train], names[test], predicted, known)


def _scored(trained: "np.ndarray", tested: "np.ndarray", predicted: "np.ndarray", labels: list[str]) -> Recognition:
    """The scores of predicted labels.

    Args:
        trained: labels of the images for training.
        tested: labels of the images for testing.
        predicted: their predicted labels.
        labels: all labels.
    """
    import numpy as np
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    tested_labels = sorted(set(tested))
    scores = precision_recall_fscore_support(tested, predicted, labels=tested_labels, zero_division=0)
    names, counts = np.unique(trained, return_counts=True)
    return Recognition(
        accuracy=float(accuracy_score(tested, predicted)),
        macro_f1=float(scores[2].mean()),
        chance=float((tested == names[counts.argmax()]).mean()),
        train_images=len(trained),
        test_images=len(tested),
        labels=labels,
        per_label={
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "images": float(n)}
            for label, p, r, f, n in zip(tested_labels, *scores, strict=True)
        },
        confusion=confusion_matrix(tested, predicted, labels=labels),
    )


def _test_rows(names: "np.ndarray", paths: list[str], share: float) -> "np.ndarray":
    import numpy as np

    order = np.array(
        [hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest() for path in paths]
    )
    is_test = np.zeros(len(names), bool)
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        ranked = members[np.argsort(order[members], kind="stable")]
        is_test[ranked[: min(int(np.ceil(share * len(members))), len(members) - 1)]] = True
    return is_test


def _nothing_to_say(labels: list[str], train_images: int) -> Recognition:
    import numpy as np

    return Recognition(0.0, 0.0, 0.0, train_images, 0, labels, {}, np.zeros((len(labels), len(labels)), np.int64))
