"""Tests of listings: which files are images, under which label, and when the collection counts as changed."""

import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from fruit_assets.errors import InputError, StorageError
from fruit_assets.images import file_listing
from fruit_assets.images.listing import digest_of, list_images
from fruit_assets.keys.key_table import KeyTable
from fruit_assets.object_store.stores import open_store

_FILES = {
    "Training/Apple Red 1/r0_1_100.jpg": b"1",
    "Training/Apple Red 1/IMG.JPG": b"22",
    "Test/Poire #2 = 50% é/a b.png": b"333",
    "deep/er/still/Kiwi/x.TIFF": b"",
    "Kiwi/x.webp": b"4444",
    "README.md": b"no image",
    "Training/Apple Red 1/notes.txt": b"no image",
    "Training/Apple Red 1/.hidden.jpg": b"no image",
    "Training/.thumbnails/small.jpg": b"no image",
    ".cache/Kiwi/y.jpg": b"no image",
    "loose.jpg": b"in no class folder",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    for path, content in _FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


def test_images_are_listed_by_relative_path_with_the_name_of_their_folder(folder):
    listing = list_images(str(folder))
    rows = {row["path"]: (row["label"], row["size"]) for row in listing.table.to_pylist()}
    assert rows == {
        "Training/Apple Red 1/r0_1_100.jpg": ("Apple Red 1", 1),
        "Training/Apple Red 1/IMG.JPG": ("Apple Red 1", 2),
        "Test/Poire #2 = 50% é/a b.png": ("Poire #2 = 50% é", 3),
        "deep/er/still/Kiwi/x.TIFF": ("Kiwi", 0),
        "Kiwi/x.webp": ("Kiwi", 4),
    }
    assert listing.table["path"].to_pylist() == sorted(rows)
    assert listing.class_counts() == {"Apple Red 1": 2, "Kiwi": 2, "Poire #2 = 50% é": 1}
    assert (listing.count, listing.total_bytes, listing.ignored, listing.unlabelled) == (5, 10, 5, 1)


def test_the_digest_of_many_files_stays_what_it_was():
    # With another digest every collection would count as changed, and every sample would be read again.
    count = 70_000
    table = pa.table(
        {
            "path": [f"{n}.jpg" for n in range(count)],
            "size": list(range(count)),
            "stamp": [str(7 * n) for n in range(count)],
        }
    )
    digest = hashlib.sha256()
    for start in range(0, count, 65536):
        digest.update("\n".join(f"{n}.jpg\0{n}\0{7 * n}" for n in range(start, min(start + 65536, count))).encode())
    in_chunks = pa.concat_tables([table.slice(start, 999) for start in range(0, count, 999)])
    assert digest_of(KeyTable.of(table)) == digest_of(KeyTable.of(in_chunks)) == digest.hexdigest()[:32]


def test_a_folder_and_a_bucket_with_the_same_files_give_the_same_rows(folder, bucket):
    store = open_store(f"s3://{bucket}/images é/v=1")
    for path, content in _FILES.items():
        store.put(path, content)
    there, here = list_images(store.uri), list_images(str(folder))
    columns = ["path", "label", "size"]
    assert there.table.select(columns).equals(here.table.select(columns))
    assert (there.ignored, there.unlabelled) == (here.ignored, here.unlabelled)


def test_the_data_version_changes_when_an_image_is_added_removed_renamed_or_rewritten(folder):
    versions = [list_images(str(folder)).data_version()]
    assert list_images(str(folder)).data_version() == versions[0]
    (folder / "Kiwi" / "notes.txt").write_text("not an image")
    assert list_images(str(folder)).data_version() == versions[0]

    image = folder / "Kiwi" / "x.webp"
    (folder / "Kiwi" / "new.jpg").write_bytes(b"5")
    versions.append(list_images(str(folder)).data_version())
    image.write_bytes(b"5555")
    os.utime(image, ns=(1, 10**18))
    versions.append(list_images(str(folder)).data_version())
    image.rename(folder / "Kiwi" / "y.webp")
    versions.append(list_images(str(folder)).data_version())
    (folder / "Kiwi" / "y.webp").unlink()
    versions.append(list_images(str(folder)).data_version())
    assert len(set(versions)) == 5


def test_the_data_version_of_a_bucket_changes_when_an_image_is_rewritten_with_as_many_bytes(bucket):
    store = open_store(f"s3://{bucket}/images")
    store.put("Kiwi/x.jpg", b"1")
    before = list_images(store.uri).data_version()
    store.put("Kiwi/x.jpg", b"2")
    assert list_images(store.uri).data_version() != before


def test_links_are_followed_but_not_in_circles(folder):
    (folder / "Linked").symlink_to(folder / "Kiwi")
    (folder / "Kiwi" / "again").symlink_to(folder)
    (folder / "Kiwi" / "itself.jpg").symlink_to("itself.jpg")
    (folder / "Kiwi" / "loop").symlink_to("loop")
    (folder / "Kiwi" / "dangling.jpg").symlink_to("nowhere.jpg")
    paths = list_images(str(folder)).table["path"].to_pylist()
    assert {"Linked/x.webp", "Kiwi/x.webp", "Kiwi/dangling.jpg", "Kiwi/itself.jpg"} <= set(paths)
    assert not any("again/Kiwi" in path for path in paths)


def test_a_file_name_that_is_no_text_is_left_out_and_counted(folder):
    before = list_images(str(folder))
    with open(os.fsencode(folder / "Kiwi") + b"/\xff\xfe.jpg", "wb") as file:  # noqa: PTH123  a name Path cannot write
        file.write(b"6")
    after = list_images(str(folder))
    assert after.table.equals(before.table)
    assert after.ignored == before.ignored + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"images does not exist. Set FRUIT_ASSETS_IMAGES .*fruit-assets demo-images"),
        (lambda path: path.write_text("x"), r"FRUIT_ASSETS_IMAGES is .*images, which is a file. Name the folder"),
        (lambda path: path.mkdir(), r"No images in .*images \(0 other files, 0 images outside class folders\)"),
        (lambda path: path.symlink_to(path), r"images"),
    ],
)
def test_a_collection_that_cannot_be_used_is_reported_with_the_fix(tmp_path, make, message):
    make(tmp_path / "images")
    with pytest.raises(InputError, match=message):
        list_images(str(tmp_path / "images"))


def test_images_in_no_class_folder_do_not_make_a_collection(tmp_path):
    (tmp_path / "loose.jpg").write_bytes(b"1")
    (tmp_path / "list.csv").write_bytes(b"1")
    with pytest.raises(InputError, match=r"\(1 other files, 1 images outside class folders\)"):
        list_images(str(tmp_path))


def test_an_empty_prefix_and_a_missing_bucket_are_reported_with_their_uri(bucket):
    with pytest.raises(InputError, match=rf"No images in s3://{bucket}/nothing"):
        list_images(f"s3://{bucket}/nothing")
    with pytest.raises(StorageError, match=r"s3://not-there.*the bucket does not exist"):
        list_images("s3://not-there/images")


def test_a_folder_that_may_not_be_read_is_named(folder):
    (folder / "Kiwi").chmod(0)
    for parent in [folder, *list(folder.parents)[:-2]]:
        parent.chmod(parent.stat().st_mode | 0o055)
    code = f"""
import os
from fruit_assets.errors import InputError
from fruit_assets.images.listing import list_images
import duckdb, pyarrow.fs
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    list_images({str(folder)!r})
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (folder / "Kiwi").chmod(0o755)
    assert f"Cannot list the image folder {folder / 'Kiwi'}: Permission denied" in done.stdout


_JPEG, _HEIC = b"\xff\xd8\xff\xe0" + b"\0" * 40, b"\0\0\0\x1cftypheic" + b"\0" * 40


def _write(root: Path, **folders: dict[str, bytes]) -> None:
    for folder, files in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / folder / name).write_bytes(content)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif", ".JPE", ".apng", ".dib"])
def test_every_suffix_of_a_format_that_can_be_read_is_listed_without_a_look_into_the_file(tmp_path, suffix):
    _write(tmp_path, Kiwi={f"x{suffix}": b"whatever it is"})
    assert list_images(str(tmp_path)).table["path"].to_pylist() == [f"Kiwi/x{suffix}"]


def test_files_of_unknown_suffixes_are_images_when_their_first_bytes_say_so(tmp_path):
    names = {"0001": _JPEG, "photo.original": _JPEG, "LICENSE": b"All rights reserved", "empty": b"", "a.txt": _JPEG}
    _write(tmp_path, Kiwi=names)
    listing = list_images(str(tmp_path))
    assert listing.table["path"].to_pylist() == ["Kiwi/0001", "Kiwi/photo.original"]
    assert [str(group) for group in listing.unknown] == ["2 without a suffix in Kiwi"]
    assert listing.ignored == 3


def test_of_many_files_of_one_unknown_suffix_a_few_decide_for_all(tmp_path):
    _write(tmp_path, Kiwi={f"{number:03}": _JPEG if number == 5 else b"text" for number in range(40)})
    _write(tmp_path, Notes={f"{number:03}": _JPEG if number == 39 else b"text" for number in range(40)})
    listing = list_images(str(tmp_path))
    assert listing.class_counts() == {"Kiwi": 40}
    assert [str(group) for group in listing.unknown] == ["40 without a suffix in Notes"]


def test_a_class_of_images_that_cannot_be_read_is_named_as_lost(tmp_path):
    _write(
        tmp_path, Kiwi={"a.jpg": _JPEG, "b.heic": _HEIC}, Fig={"a.heic": _HEIC, "b.heic": _HEIC}, docs={"x.md": b"x"}
    )
    listing = list_images(str(tmp_path))
    assert listing.class_counts() == {"Kiwi": 1}
    assert listing.lost_classes() == {"Fig": 2}
    assert [str(group) for group in listing.unknown] == ["2 .heic in Fig", "1 .heic in Kiwi"]


@pytest.mark.parametrize("keys_per_page", [1000, 20, 1])
def test_a_bucket_of_many_folders_is_listed_in_ranges_and_gives_every_object_once(bucket, keys_per_page, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(keys_per_page))
    store = open_store(f"s3://{bucket}/images")
    keys = [f"{part}/class {number:02}/{name}.jpg" for part in "ab" for number in range(40) for name in "xy"]
    for key in [*keys, "a/loose.jpg", "first.jpg", "zuletzt/é/1.jpg"]:
        store.put(key, b"1")
    assert list_images(store.uri).table["path"].to_pylist() == sorted([*keys, "a/loose.jpg", "zuletzt/é/1.jpg"])


def test_a_small_collection_on_s3_is_listed_by_one_request(bucket, s3_lists):
    store = open_store(f"s3://{bucket}/images")
    for number in range(12):
        store.put(f"class {number}/a.jpg", b"1")
    assert list_images(store.uri).count == 12
    assert s3_lists == ["images/"]


def test_the_order_in_which_files_come_changes_neither_rows_nor_digest(folder, monkeypatch):
    expected = list_images(str(folder))
    monkeypatch.setattr(file_listing, "_FILES_AT_A_TIME", 2)
    monkeypatch.setattr(os, "scandir", _backwards(os.scandir))
    listing = list_images(str(folder))
    assert listing.table.equals(expected.table)
    assert listing.data_version() == expected.data_version()


def _backwards(scandir):
    @contextmanager
    def scan(folder):
        with scandir(folder) as entries:
            yield reversed(list(entries))

    return scan
