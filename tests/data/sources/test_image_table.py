"""Sets told by tables: the arrays are those of the same pictures in class folders."""

import csv
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from sparsity_jax.data.sources import image_folder as folder
from sparsity_jax.data.sources.image_table import read_tables
from sparsity_jax.errors import UserError


def load(path, **options):
    return folder.load(path, cache_dir=path.parent / "cache", progress=False, **options)


@pytest.fixture
def listed(pets, tmp_path):
    """(split, path, class) of every picture, which all lie in one folder without order."""
    rows, folder_of = [], tmp_path / "set"
    (folder_of / "images").mkdir(parents=True)
    for number, (name, content) in enumerate(sorted(pets.files.items())):
        split, label, _ = name.split("/")
        path = f"images/{number:03d}.{name.rpartition('.')[2]}"
        (folder_of / path).write_bytes(content)
        rows.append((split, path, label))
    return rows


def write(path, rows, header, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def write_parquet(path, rows, root, names=None, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": (root / file).read_bytes(), "path": None} for _, file, _ in rows]
    labels = [names.index(label) if names else label for *_, label in rows]
    table = pa.table({"image": images, "label": labels, **columns})
    if names:
        about = {"info": {"features": {"label": {"names": names}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("test", ["test", "Validation"])
def test_one_csv_with_a_split_column(pets, tmp_path, listed, delimiter, test):
    rows = [(path, label, split.replace("test", test)) for split, path, label in listed]
    table = write(tmp_path / "set" / "all.csv", rows, ("File_Name", "class", "Split"), delimiter)
    pets.check(load(table))
    assert load(table).name == "all"


def test_it_trains_and_resumes_in_mid_epoch(tmp_path, listed, trains_and_resumes):
    rows = [(path, label, split) for split, path, label in listed]
    table = write(tmp_path / "set" / "all.csv", rows, ("path", "label", "split"))
    trains_and_resumes(load(table))


def test_a_csv_for_each_split(pets, tmp_path, listed):
    for split in ("train", "test"):
        rows = [(label, path, "x") for own, path, label in listed if own == split]
        write(tmp_path / "set" / f"{split}.csv", rows, ("label", "image", "photographer"))
    pets.check(load(tmp_path / "set"))


def test_parquet_with_bytes_and_names_in_its_schema(pets, tmp_path, listed):
    names = ["owl", "cat", "dog"]  # the set's own order is by name
    for split in ("train", "validation"):
        rows = [row for row in listed if row[0] == split.replace("validation", "test")]
        for part, some in enumerate((rows[:4], rows[4:])):
            path = tmp_path / "hub" / "data" / f"{split}-0000{part}-of-00002.parquet"
            write_parquet(path, some, tmp_path / "set", names)
    pets.check(load(tmp_path / "hub"))


def test_numbers_are_classes_in_the_order_of_numbers(tmp_path, listed):
    numbers = {"cat": "2", "dog": "10", "owl": "9"}
    rows = [(path, numbers[label], split) for split, path, label in listed]
    found = load(write(tmp_path / "set" / "all.csv", rows, ("path", "target", "set")))
    assert found.class_names == ("02", "09", "10")


def test_a_part_is_held_out_the_same_whatever_the_order(tmp_path, listed):
    rows = [(path, label) for _, path, label in listed]
    found = [
        load(write(tmp_path / "set" / name, order, ("path", "label")), test_fraction=0.4)
        for name, order in (("a.csv", rows), ("b.csv", rows[::-1]))
    ]
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(*(getattr(each, name) for each in found))
    assert set(found[0].test_labels.tolist()) == {0, 1, 2}


def test_other_splits_are_counted(pets, tmp_path, listed, caplog):
    rows = [(path, label, split) for split, path, label in listed]
    more = [(f"images/{n}", "cat", "val") for n in (1, 2)]
    pets.check(load(write(tmp_path / "set" / "all.csv", rows + more, ("path", "label", "split"))))
    assert "2 files passed over: 2 in split 'val'" in caplog.text


def test_a_changed_table_or_picture_is_read_anew(tmp_path, listed):
    rows = [(path, label, split) for split, path, label in listed]
    table = write(tmp_path / "set" / "all.csv", rows, ("path", "label", "split"))
    before = load(table)
    write(
        table,
        [(path, label + "s", split) for path, label, split in rows],
        ("path", "label", "split"),
    )
    assert load(table).class_names == tuple(f"{name}s" for name in before.class_names)


HEADER = "path,label,split\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        (HEADER, "no rows"),
        ("path,kind\na.png,cat\n", "line 2: no column label, class, class_name, labels among"),
        ("picture,label\na.png,cat\n", "line 2: no column image, path"),
        (HEADER + "a.png,cat\n", "line 2: 2 cells under 3 columns"),
        (HEADER + "a.png,,train\n", "line 2: label is empty"),
        (HEADER + "none.png,cat,train\nnone.png,cat,test\n", "line 2: there is no file .*none.png"),
        (HEADER + "a.png,cat,train\na.png,dog,test\n", "line 3: a.png appears twice"),
        (HEADER + "a.png,cat,train\n", "tells splits 'train'; train and test expected"),
        ("path,label\na.png,cat\n", "tells no splits; .*test_fraction"),
        (HEADER + "a.png,cat,train\nb.png,cat,test\n", "one class, 'cat'"),
        (HEADER + '"a.png,cat,train\n', "damaged or no table"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(tmp_path, text, said):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(UserError, match=said) as error:
        load(tmp_path / "set.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_damaged_parquet_is_refused(tmp_path, listed, cut):
    whole = write_parquet(tmp_path / "set.parquet", listed, tmp_path / "set").read_bytes()
    (tmp_path / "set.parquet").write_bytes(whole[:cut])
    with pytest.raises(UserError, match=r"set.parquet is damaged or no table"):
        read_tables([tmp_path / "set.parquet"], tmp_path)


def test_a_picture_in_the_table_that_cannot_be_read_is_named(tmp_path, listed):
    rows = [(path, label, split) for split, path, label in listed]
    (tmp_path / "set" / rows[0][0]).write_bytes(b"no picture")
    table = write(tmp_path / "set" / "all.csv", rows, ("path", "label", "split"))
    with pytest.raises(UserError, match=f"image {rows[0][0]} cannot be read"):
        load(table)
    found = load(table, skip_unreadable=True)
    assert len(found.train_images) + len(found.test_images) == len(rows) - 1
