"""Which published versions belong together: those that the newest components were made from.

Put here following what versions say they were made from. What is shown of them belongs to the commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.staged_commit import INPUT_TABLES, INPUTS
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version

# From the result to what it was made from.
_MADE_FROM = {
    "pca_model": "pca_components",
    "image_features": "pca_components",
    "sampled_images": "image_features",
    "feature_extractor": "image_features",
}
# What those runs make beside it.
_BESIDE = ("rejected_images", "fruit_recognition")
_LOOK_BACK = 100


@dataclass(frozen=True)
class Lineage:
    """The newest components, and the versions of the other assets that belong to them.

    Attributes:
        versions: by asset; without those that are not known any more, or that no run has made for these components.
        newer: assets with a version that these components were not made from.
    """

    versions: Mapping[str, Version]
    newer: Mapping[str, Version]

    @staticmethod
    def of(storage: Store) -> "Lineage":
        """Follow the newest components; raises NotPublishedError when there are none."""
        found = {"pca_components": Table(storage.below("pca_components")).current()}
        for name, made in _MADE_FROM.items():
            if made in found and (version := _input(storage, name, found[made])):
                found[name] = version
        features, components = found.get("image_features"), found["pca_components"]
        if features and (rejected := _latest(storage, "rejected_images", features.facts.get(INPUTS, {}))):
            found["rejected_images"] = rejected
        if recognition := _latest(storage, "fruit_recognition", {components.name: components.published}):
            found["fruit_recognition"] = recognition
        newest = {name: Table(storage.below(name)).current_or_none() for name in (*_MADE_FROM, *_BESIDE)}
        newer = {name: version for name, version in newest.items() if version and not _same(version, found.get(name))}
        return Lineage(found, newer)


def _input(storage: Store, name: str, made: Version) -> Version | None:
    """The version of an asset that another version was made from."""
    table, number = Table(storage.below(name)), made.facts.get(INPUTS, {}).get(name)
    if number is None:  # restored, or published by a release that did not say so
        return table.current_or_none()
    try:
        version = table.at(number)
    except StorageError:
        return None
    return version if version.table_id == made.facts.get(INPUT_TABLES, {}).get(name) else None


def _latest(storage: Store, name: str, made_from: Mapping[str, int]) -> Version | None:
    """The newest version of an asset that was made from exactly these."""
    table = Table(storage.below(name))
    if not made_from:
        return table.current_or_none()
    commits = (commit for _, commit in zip(range(_LOOK_BACK), table.history(), strict=False))
    number = next((commit.number for commit in commits if commit.facts.get(INPUTS) == made_from), None)
    return None if number is None else table.at(number)


def _same(version: Version, other: Version | None) -> bool:
    return other is not None and (version.table_id, version.published) == (other.table_id, other.published)
