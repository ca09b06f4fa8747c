"""Tests of the worker's decoding: what is counted of images, and what is logged of them."""

import os

import pyarrow as pa

from fruit_assets.features.inference_worker import decode_all
from fruit_assets.images import decoding
from fruit_assets.images.pixels.decoding_options import DecodingOptions, Traits
from fruit_assets_tests.images.odd_images import encoded, picture, raw_tiff


def _batch(contents: dict[str, bytes | None]) -> pa.RecordBatch:
    return pa.record_batch({"path": list(contents), "content": pa.array(contents.values(), pa.binary())})


def _noisy_tiff() -> bytes:
    """libtiff prints where the fax code is damaged, and goes on."""
    content = bytearray(encoded(picture().convert("1"), "TIFF", compression="group4"))
    for position in range(300, 400, 10):
        content[position] ^= 0x55
    return bytes(content)


def test_what_native_decoders_print_is_logged_once_for_each_file_and_with_its_path(caplog, capfd):
    noisy = {f"class/noisy {number}.tif": _noisy_tiff() for number in range(5)}
    pixels, reasons, _ = decode_all(_batch({"a.jpg": encoded(picture(), "JPEG"), **noisy}), 32, DecodingOptions())
    assert (len(pixels), reasons) == (6, [None] * 6)
    assert capfd.readouterr().err == ""
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert all(f"class/noisy {number}.tif: " in line for number, line in enumerate(lines[:3]))
    assert "Fax4Decode: " in lines[0]
    assert " more lines)" in lines[0]
    assert lines[3] == "Decoders print warnings about 2 more files, such as class/noisy 3.tif"


def test_the_standard_error_is_back_after_a_batch_and_after_a_failure(capfd, monkeypatch):
    decode_all(_batch({"a.jpg": encoded(picture(), "JPEG")}), 32, DecodingOptions())
    os.write(2, b"after a batch\n")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "decode", fail)
    try:
        decode_all(_batch({"a.jpg": b"x"}), 32, DecodingOptions())
    except KeyboardInterrupt:
        os.write(2, b"after a failure\n")
    assert capfd.readouterr().err == "after a batch\nafter a failure\n"


def test_traits_are_those_of_readable_images():
    cut = encoded(picture(), "JPEG")
    contents = {
        "good.jpg": encoded(picture(), "JPEG"),
        "half.jpg": cut[: len(cut) // 2],
        "black.tif": raw_tiff(bytes(100), 10, 10, t258=8, t262=1),
        "vanished.jpg": None,
    }
    pixels, reasons, traits = decode_all(_batch(contents), 32, DecodingOptions(tolerate_truncated=True))
    assert len(pixels) == 2
    assert [reason is None for reason in reasons] == [True, False, True, False]
    assert traits == [Traits(), Traits(), Traits(featureless=True), Traits()]
