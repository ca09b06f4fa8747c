"""Tests of the sample: what is chosen, by any listing, and what happens to images that cannot be read."""

import hashlib
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fruit_assets.errors import InputError
from fruit_assets.images import sampling
from fruit_assets.images.sampling import SamplePlan, choose, content_digest, require_enough
from fruit_assets.keys.key_table import KeyTable

_LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8)
_CLASSES = st.dictionaries(_LABELS, st.integers(1, 60), min_size=1, max_size=6)
_PLANS = st.builds(
    SamplePlan,
    fraction=st.floats(0.001, 1.0),
    min_per_class=st.integers(1, 20),
    max_per_class=st.none() | st.integers(20, 40),
    seed=st.integers(-(2**40), 2**40),
)
_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _listing(classes: dict[str, int]) -> pa.Table:
    rows = [(f"Training/{label}/{number}.jpg", label) for label, count in classes.items() for number in range(count)]
    return pa.table({"path": [path for path, _ in rows], "label": [label for _, label in rows]})


def _chosen(listing: pa.Table, plan: SamplePlan) -> pa.Table:
    return choose(KeyTable.of(listing), plan).to_table().sort_by("path")


def _paths(listing: pa.Table, plan: SamplePlan) -> list[str]:
    return _chosen(listing, plan)["path"].to_pylist()


@_quick
@given(_CLASSES, _PLANS, st.randoms(use_true_random=False))
def test_the_choice_depends_on_seed_and_paths_alone_not_on_listing_order(classes, plan, order):
    listing = _listing(classes)
    rows = list(range(listing.num_rows))
    order.shuffle(rows)
    chosen = _paths(listing, plan)
    assert _paths(listing.take(rows), plan) == chosen == sorted(chosen)
    assert len(set(chosen)) == len(chosen)


@_quick
@given(_CLASSES, _PLANS)
def test_every_class_gives_its_rounded_share_within_the_limits(classes, plan):
    counts = Counter(_chosen(_listing(classes), plan)["label"].to_pylist())
    assert set(counts) == set(classes)
    for label, available in classes.items():
        assert min(plan.min_per_class, available) <= counts[label] <= min(available, plan.max_per_class or available)
        limited = counts[label] in (plan.min_per_class, plan.max_per_class, available)
        assert limited or abs(counts[label] - plan.fraction * available) <= 0.5 + 1e-9


@_quick
@given(_CLASSES, _PLANS, st.floats(0.001, 1.0))
def test_a_larger_fraction_only_adds_images(classes, plan, other):
    small, large = sorted([plan.fraction, other])
    smaller, larger = (
        _paths(_listing(classes), SamplePlan(share, plan.min_per_class, plan.max_per_class, plan.seed))
        for share in (small, large)
    )
    assert set(smaller) <= set(larger)


@_quick
@given(_CLASSES, _PLANS, _LABELS)
def test_other_classes_do_not_change_what_a_class_gives(classes, plan, new):
    assume(new not in classes)
    before = _paths(_listing(classes), plan)
    after = _chosen(_listing({**classes, new: 30}), plan)
    kept = after.filter(pa.compute.not_equal(after["label"], new))
    assert kept["path"].to_pylist() == before


def test_fraction_one_takes_everything_and_another_seed_takes_others():
    listing = _listing({"a": 100, "b": 1})
    assert len(_paths(listing, SamplePlan(fraction=1.0))) == 101
    first, second = (_paths(listing, SamplePlan(fraction=0.2, seed=seed)) for seed in (0, 1))
    assert len(first) == len(second) == 21
    assert first != second


def test_the_choice_is_the_same_on_every_machine_and_with_every_release():
    # A change here changes every user's sample: it must be intended, and listed in the release notes.
    chosen = _paths(_listing({"Apple": 20, "Pêche = 1#": 20}), SamplePlan(fraction=0.15, seed=7))
    assert hashlib.sha256("\n".join(chosen).encode()).hexdigest()[:16] == "7674aa22ae1c834e"


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 8192])
def test_the_digest_of_a_sample_depends_on_its_rows_alone(monkeypatch, rows_at_a_time):
    monkeypatch.setattr(sampling, "_PATHS_AT_A_TIME", rows_at_a_time)
    rows = [(f"a/é '{number}\".jpg", "é", None if number == 3 else f"{number:064}") for number in range(10)]
    # The digests of samples that are there already were made of this.
    expected = hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:32]
    table = pa.Table.from_pylist([dict(zip(("path", "label", "sha256"), row, strict=True)) for row in rows])
    for order in (range(10), range(9, -1, -1)):
        assert content_digest(KeyTable.of(table.take(list(order)))) == expected
    assert content_digest(KeyTable.of(table.slice(0, 9))) != expected


def test_a_sample_of_fewer_than_two_images_is_refused_with_the_knob():
    with pytest.raises(InputError, match=r"holds 1 image\(s\).*Raise `fraction` or `min_per_class`"):
        require_enough(_chosen(_listing({"a": 50}), SamplePlan(fraction=0.01)).num_rows)
