"""Labels that no font or layout expects: every picture is drawn all the same."""

import warnings

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fruit_assets.assets import asset_plots
from fruit_assets.plots import contact_sheet, figures

_LABELS = (
    "Apple\r\nRed", "", "苹果", "🍎", "👩\u200d🌾", "❤\ufe0f", "$x_{", "\\$", "$\\frac{$", "[bold]x[/]", "\u2028", "\0",
    "\udcff", "تفاح", "x" * 500, "%s", "{0}", "~^_{}", "<b>&amp;", "\ufeff", "e" + "\u0301" * 50,
)  # fmt: skip


def _with_examples(test):
    for label in _LABELS:
        test = example(label=label)(test)
    return test


@settings(max_examples=40, deadline=None)
@given(label=st.text(st.characters(), max_size=60))
@_with_examples
def test_every_picture_is_drawn_with_any_label_and_without_a_warning(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [
            contact_sheet.contact_sheet([b""], [label]),
            contact_sheet.class_histogram({label: 3}),
            figures.rejected_by_reason({label: 3}),
            figures.scatter_by_class(np.eye(2), [label, label]),
            figures.confusion_matrix(np.array([[1, 2], [0, 1]]), [label, "other"]),
        ]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn)


def test_a_picture_that_cannot_be_drawn_does_not_fail_its_asset(monkeypatch):
    def fail(*args):
        raise ValueError("no fonts")

    monkeypatch.setattr(contact_sheet, "class_histogram", fail)
    assert asset_plots.class_histogram({"Apple": 1}) == {}
