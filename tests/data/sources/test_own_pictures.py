"""Pictures as people have them: odd layouts, formats and files; nothing vanishes without a word."""

import io
import unicodedata

import numpy as np
import pytest
from PIL import Image

from sparsity_jax.data.files import decode
from sparsity_jax.data.sources import image_folder as folder
from sparsity_jax.data.sources.folder_layout import arrange
from sparsity_jax.errors import UserError


def load(path, **options):
    return folder.load(path, cache_dir=path.parent / "cache", progress=False, **options)


def renamed(pets, *changes):
    """The files of the set, with parts of their names replaced."""
    files = pets.files
    for old, new in changes:
        files = {name.replace(old, new): content for name, content in files.items()}
    return files


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
@pytest.mark.parametrize(
    "changes",
    [
        [("test/", "val/")],
        [("test/", "Validation/"), ("train/", "TRAIN/")],
        [("test/", "a/b/valid/"), ("train/", "a/b/train/")],
        [("test/", "test/test/"), ("train/", "test/train/")],
    ],
)
def test_layouts_that_people_have(pets, tmp_path, caplog, suffix, changes):
    pets.check(pets.load(pets.pack(tmp_path / f"pets{suffix}", renamed(pets, *changes))))
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_what_is_passed_over_is_counted_by_kind_in_one_line(pets, tmp_path, caplog, suffix):
    others = ["train/cat/a.txt", "train/cat/b.TXT", "val/cat/1.png", "train/1.png", "README"]
    others += ["train/.cache/1.png" if suffix else "train/cat/.x.png", "figures/plot.png"]
    path = pets.pack(tmp_path / f"pets{suffix}", {**pets.files, **dict.fromkeys(others, b"x")})
    pets.check(pets.load(path))
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: 7 files passed over: 2 .txt, 1 hidden, 1 in val/, 1 loose in train/, 1 no suffix,"
        " 1 outside train/ and test/"
    )


def test_a_broken_link_is_counted(pets, tmp_path, caplog):
    path = pets.pack(tmp_path / "pets", pets.files)
    (path / "train" / "cat" / "9.png").symlink_to(path / "nowhere.png")
    pets.check(pets.load(path))
    assert "1 file passed over: 1 linked to nothing" in caplog.text


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_class_without_an_image_is_refused(pets, tmp_path, suffix):
    files = {**pets.files, "train/emu/notes.txt": b"", "test/emu/notes.txt": b""}
    pets.refuse(pets.pack(tmp_path / f"a{suffix}", files), "emu/ holds no image; remove it")
    broken = {f"{split}/emu/1.png": b"no image" for split in ("train", "test")}
    path = pets.pack(tmp_path / f"b{suffix}", {**pets.files, **broken})
    with pytest.raises(UserError, match="no image of 'emu' can be read"):
        load(path, skip_unreadable=True)


def test_an_empty_class_folder_is_refused(pets, tmp_path):
    path = pets.pack(tmp_path / "pets", pets.files)
    (path / "test" / "emu").mkdir()
    pets.refuse(path, "test/emu/ holds no image")


def test_a_name_that_appears_twice_is_refused(pets, tmp_path):
    composed = unicodedata.normalize("NFC", "train/cat/é.png")
    apart = unicodedata.normalize("NFD", composed)
    assert composed != apart
    files = {**pets.files, **dict.fromkeys((composed, apart), pets.files["train/cat/0.png"])}
    pets.refuse(pets.pack(tmp_path / "pets.zip", files), "appears twice")
    both = {**pets.files, "Train/cat/9.png": pets.files["train/cat/0.png"]}
    pets.refuse(pets.pack(tmp_path / "both.zip", both), "'Train', 'train', which mean the same")


def test_class_names_are_one_in_nfc_and_nfd(pets, tmp_path):
    name = unicodedata.normalize("NFC", "hérisson")
    files = renamed(pets, ("train/owl", f"train/{name}"))
    files = {
        key.replace("test/owl", f"test/{unicodedata.normalize('NFD', name)}"): content
        for key, content in files.items()
    }
    assert pets.load(pets.pack(tmp_path / "pets.zip", files)).class_names == ("cat", "dog", name)


def test_images_in_both_splits_are_told(pets, tmp_path, caplog):
    files = {**pets.files, "test/dog/8.png": pets.files["train/dog/1.png"]}
    pets.load(pets.pack(tmp_path / "pets.zip", files))
    told = "1 of 7 test images are training images too: test/dog/8.png is train/dog/1.png"
    assert told in caplog.text


def test_without_splits_the_message_says_what_was_found_and_the_way_out(pets, tmp_path):
    files = renamed(pets, ("train/", ""), ("test/", "more/"))
    files = {name: content for name, content in files.items() if "more" not in name}
    path = pets.pack(tmp_path / "pets.zip", files)
    pets.refuse(path, "'cat/', 'dog/', 'owl/', but no train/", "--config.test_fraction=0.2")


@pytest.mark.parametrize("top", ["", "pets/", "train/", "pets/Train/"])
def test_a_part_of_every_class_is_held_out_whatever_the_container(pets, tmp_path, top):
    files = {f"{top}{name}": pets.encode(pets.pixels()) for name in unsplit(10)}
    packed = pets.pack(tmp_path / "set.zip", files)
    unpacked = pets.pack(tmp_path / "set", dict(sorted(files.items(), reverse=True)))
    one, other = load(packed, test_fraction=0.2), load(unpacked, test_fraction=0.2)
    assert np.bincount(one.train_labels).tolist() == [8, 8]
    assert np.bincount(one.test_labels).tolist() == [2, 2]
    for split in ("train", "test"):
        images = getattr(one, f"{split}_images")
        np.testing.assert_array_equal(images, getattr(other, f"{split}_images"))
    whole = {image.tobytes() for image in (*one.train_images, *one.test_images)}
    assert len(whole) == 20


def unsplit(count):
    return [f"{name}/{index}.png" for name in ("cat", "dog") for index in range(count)]


def test_more_files_leave_the_held_out_ones_where_they_are():
    """By name alone: what was tested on before is not trained on later."""

    def held_out(count, fraction):
        places = arrange(unsplit(count), "set", fraction).places
        return {name for name, place in places.items() if place.split == "test"}

    assert held_out(100, 0.1) < held_out(100, 0.3)
    assert len(held_out(100, 0.1)) == 20
    assert len(held_out(200, 0.2) & held_out(100, 0.2)) > 20  # by chance it would be 8


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_both_splits_keep_an_image_of_every_class(fraction):
    places = arrange(unsplit(2), "set", fraction).places.values()
    assert len({place[:2] for place in places}) == 4


def test_a_split_set_needs_no_fraction(pets, tmp_path):
    with pytest.raises(UserError, match="has a test split"):
        load(pets.pack(tmp_path / "pets.zip", pets.files), test_fraction=0.5)


@pytest.mark.parametrize("kind", [each for each in decode.formats() if each != "MPO"])
def test_every_format_is_read(pets, tmp_path, kind):
    if kind == "AVIF" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow knows no AVIF")
    smooth = np.linspace(0, 255, 8 * 8 * 3).astype(np.uint8).reshape(8, 8, 3)
    encoded, suffix = pets.encode(smooth, kind), {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind)
    files = {name.replace("png", suffix): encoded for name in pets.files}
    dataset = pets.load(pets.pack(tmp_path / "pets.zip", files))
    with Image.open(io.BytesIO(encoded)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert (dataset.train_images == expected).all()
    assert abs(expected.astype(int) - smooth).max() < 60  # lossy, but the picture


def test_of_an_animation_the_first_frame_is_taken(pets, tmp_path):
    frames = [Image.new("RGB", (4, 5), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    files = {name.replace("png", "gif"): stream.getvalue() for name in pets.files}
    dataset = pets.load(pets.pack(tmp_path / "pets.zip", files))
    assert (dataset.train_images == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_says(pets, tmp_path, caplog, orientation):
    pixels = pets.pixels()
    upright = {  # what the tag says of the stored rows and columns, in NumPy's words
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    files = dict.fromkeys(pets.files, stream.getvalue())
    dataset = pets.load(pets.pack(tmp_path / "pets.zip", files))
    assert (dataset.train_images == upright).all()
    assert ("15 of 15 images turned upright" in caplog.text) == (orientation > 1)


def test_sixteen_bits_keep_the_range_of_the_set(pets, tmp_path, caplog):
    values = np.linspace(1000, 3000, 20).astype(np.uint16).reshape(5, 4)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    path = pets.pack(tmp_path / "deep.zip", dict.fromkeys(pets.files, stream.getvalue()))
    dataset = pets.load(path)
    expected = np.round((values - 1000.0) / 2000 * 255)
    assert abs(dataset.train_images[..., 0] - expected).max() <= 1
    assert (dataset.train_images.min(), dataset.train_images.max()) == (0, 255)
    assert "16-bit values from 1000 to 3000 became 0 to 255" in caplog.text
    mixed = {**dict.fromkeys(pets.files, stream.getvalue()), "train/cat/0.png": b""}
    mixed["train/cat/0.png"] = pets.encode(pets.pixels(1))
    path = pets.pack(tmp_path / "mixed.zip", mixed)
    with pytest.raises(UserError, match="14 images of 16 bits beside others"):
        pets.load(path)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGBA", (100, 200, 0, 0), (255, 255, 255)),
        ("RGBA", (100, 200, 0, 255), (100, 200, 0)),
        ("RGBA", (100, 200, 0, 51), (224, 244, 204)),
        ("LA", (100, 0), (255,)),
    ],
)
def test_transparency_is_laid_over_white_and_told(pets, tmp_path, caplog, mode, value, expected):
    stream = io.BytesIO()
    Image.new(mode, (4, 5), value).save(stream, "PNG")
    path = pets.pack(tmp_path / "pets.zip", dict.fromkeys(pets.files, stream.getvalue()))
    dataset = pets.load(path)
    assert dataset.image_shape[-1] == len(expected)
    assert (dataset.train_images == expected).all()
    assert ("15 of 15 images not opaque" in caplog.text) == (value[-1] < 255)


def test_mixed_sizes_are_resized_on_request_and_told(pets, tmp_path, caplog):
    files = {**pets.files, "train/cat/1.png": pets.encode(pets.pixels(3, 40, 60))}
    path = pets.pack(tmp_path / "pets.zip", files)
    pets.refuse(path, "4x5", "60x40", "--config.resize=64")
    dataset = load(path, resize=8)
    assert dataset.image_shape == (8, 8, 3)
    assert "15 of 15 images resized to 8x8, antialiased" in caplog.text
    noise = dataset.train_images[1]  # each pixel is the mean of many: far less spread
    assert noise.std() < 0.5 * pets.pixels(3, 40, 60).std()
    assert load(path, resize=6).image_shape == (6, 6, 3)  # another cache


@pytest.mark.parametrize("options", [{"resize": -1}, {"test_fraction": 1.0}])
def test_senseless_options_are_refused(pets, tmp_path, options):
    with pytest.raises(UserError, match="valid are"):
        load(pets.pack(tmp_path / "pets.zip", pets.files), **options)
