"""The audit: the same answer from every format, and one clear line for every hostile file."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax.traverse_util import unflatten_dict

from sparsity_jax.audit import __main__ as audit
from sparsity_jax.storage.checkpoints import Checkpoints

HERE = Path(__file__).parent
GAMMA = {"C1": [1.0, 1e-4, -2.0, 0.0], "C2": [0.5, -9e-4, 1.1e-3, 0.0, 3.0, -0.0], "F1": [0.0] * 5}
ANSWER = {
    "left_out": [{"name": "F1/norm", "why": "follows a dense layer"}],
    "layers": [
        {"name": "C1/norm", "filters": 4, "dead": 2, "weights": 4 * 27},
        {"name": "C2/norm", "filters": 6, "dead": 3, "weights": 6 * 36},
    ],
    "filters": 10,
    "dead": 5,
    "weights": 4 * 27 + 6 * 36,
    "dead_weights": 2 * 27 + 3 * 36,
}


def linen():
    """The network of make_torch_files.py as Linen variables, flat."""
    flat = {
        "params/C1/conv/kernel": np.ones((3, 3, 3, 4), np.float32),
        "params/C2/conv/kernel": np.ones((3, 3, 4, 6), np.float32),
        "params/F1/dense/kernel": np.ones((6, 5), np.float32),
    }
    for layer, gamma in GAMMA.items():
        scale = np.asarray(gamma, np.float32)
        flat[f"params/{layer}/norm/scale"] = scale
        flat[f"params/{layer}/norm/bias"] = np.zeros_like(scale)
        flat[f"batch_stats/{layer}/norm/mean"] = np.zeros_like(scale)
        flat[f"batch_stats/{layer}/norm/var"] = np.ones_like(scale)
    return flat


def torch_names():
    words = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    named = {}
    for name, array in linen().items():
        *path, leaf = name.split("/")[1:]
        named[".".join([*path, words.get(leaf, leaf)])] = array.T if array.ndim > 1 else array
    return named


def npz(path, tensors):
    np.savez_compressed(path, **tensors)
    return path


def safetensors(path, tensors):
    """Written from the format's description, not with the reader's help."""
    header, content = {}, b""
    for name, array in tensors.items():
        body = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [len(content), len(content) + len(body)],
        }
        content += body
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def tree(tensors):
    return jax.tree.map(jnp.asarray, unflatten_dict(tensors, sep="/"))


def orbax_tree(path, tensors):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree(tensors))
    return path


def orbax_run(path, tensors):
    """A checkpoint as training writes it: two steps, moments shaped like the parameters."""
    variables = tree(tensors)
    moments = {"mu": jax.tree.map(jnp.zeros_like, variables["params"]), "count": jnp.zeros(())}
    with Checkpoints(path) as checkpoints:
        for step, factor in ((1, 5.0), (12, 1.0)):
            state = {
                "variables": jax.tree.map(lambda leaf, f=factor: leaf * f, variables),
                "opt_state": moments,
            }
            checkpoints.save(step, state, arrays={"gamma/C1": np.ones((3, 4))}, notes={})
        checkpoints.wait()
    return path


def run(capsys, *arguments):
    code = audit.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


FORMATS = {
    "npz": lambda folder: npz(folder / "x.npz", linen()),
    "npz in PyTorch's words": lambda folder: npz(folder / "x.npz", torch_names()),
    "safetensors": lambda folder: safetensors(folder / "x.safetensors", linen()),
    "safetensors in PyTorch's words": lambda f: safetensors(f / "x.safetensors", torch_names()),
    "orbax": lambda folder: orbax_tree(folder / "tree", linen()),
    "orbax of a run": lambda folder: orbax_run(folder / "checkpoints", linen()),
    "pt": lambda _: HERE / "state_dict.pt",
    "pth": lambda _: HERE / "wrapped.pth",
    "pt in bfloat16": lambda _: HERE / "bfloat16.pt",
}


READ = {
    "npz": "npz file",
    "npz in PyTorch's words": "npz file",
    "safetensors": "safetensors file",
    "safetensors in PyTorch's words": "safetensors file",
    "orbax": "Orbax checkpoint, 'params'",
    "orbax of a run": "Orbax checkpoint 12 (items arrays, state), 'state/variables/params'",
    "pt": "PyTorch file",
    "pth": "PyTorch file, 'model'",
    "pt in bfloat16": "PyTorch file",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_answer(capsys, tmp_path, kind):
    code, out, err = run(capsys, FORMATS[kind](tmp_path), "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.pop("read").startswith(READ[kind])
    assert found == ANSWER


def test_the_table_counts_weights_and_the_threshold_moves_it(capsys, tmp_path):
    file = FORMATS["npz"](tmp_path)
    _, out, _ = run(capsys, file)
    lines = out.splitlines()
    assert lines[:2] == ["read: npz file, 'params'", "left out: F1/norm: follows a dense layer"]
    assert lines[3].split() == ["C1/norm", "4", "2", "50.0", "##########"]
    # Own kernels: 2 of 4 filters of 3x3x3, 3 of 6 filters of 3x3x4.
    assert "5 of 10 filters are dead (50.0 %)" in lines[-1]
    assert f"{2 * 27 + 3 * 36} of {4 * 27 + 6 * 36} convolution weights" in lines[-1]
    _, out, _ = run(capsys, file, "--json", "--threshold=1e-2")
    assert json.loads(out)["dead"] == 6


def test_a_folder_of_several_runs_is_ambiguous(capsys, tmp_path):
    for name in ("a", "b"):
        orbax_run(tmp_path / name / "checkpoints", linen())
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (2, "")
    assert "holds 2 checkpoints; give one of them, such as a/checkpoints" in err
    found = json.loads(run(capsys, tmp_path / "b", "--json")[1])
    assert found.pop("read").startswith("Orbax checkpoint checkpoints/12 (items arrays, state)")
    assert found == ANSWER


def test_the_page_is_self_contained_and_escaped(capsys, tmp_path):
    tensors = {name.replace("C1", "<C1>"): array for name, array in linen().items()}
    page = tmp_path / "page.html"
    code, _, _ = run(capsys, npz(tmp_path / "x.npz", tensors), f"--html={page}")
    content = page.read_text()
    assert code == 0
    assert "&lt;C1&gt;" in content
    assert "<C1>" not in content
    assert "http" not in content
    assert content.count("width:50.0%") == 2


def torch_zip(path, pickled, storages=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, content in storages:
            archive.writestr(f"x/data/{name}", content)
    return path


class Bomb:
    def __reduce__(self):
        return os.system, ("touch " + self.target,)


def pickle_bomb(folder):
    bomb = Bomb()
    bomb.target = str(folder / "executed")
    return torch_zip(folder / "bomb.pt", pickle.dumps({"weight": bomb}))


def doubling_bomb(folder):
    """Lists of lists of lists: 2**60 leaves once walked, a few bytes in the file."""
    nested: list = []
    for _ in range(60):
        nested = [nested, nested]
    return torch_zip(folder / "bomb.pt", pickle.dumps(nested, protocol=2))


def memo_bomb(folder):
    """Asks for slot 2**32 - 1 of the memo, which the C unpickler would allocate up to."""
    return torch_zip(folder / "bomb.pt", b"\x80\x02}r\xff\xff\xff\xff.")


def structure_bomb(folder):
    return torch_zip(folder / "bomb.pt", b"\x80\x02" + b"N" * (2**26 + 10))


def zip_bomb(folder):
    """A vector of 16 billion zeros in 16 KiB, as its header says."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (2**34,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("mean", "var", "scale"):
            archive.writestr(f"C1/norm/{name}.npy", header.getvalue() + bytes(2**24))
    return folder / "x.npz"


def pickled_npz(folder):
    np.savez(folder / "x.npz", **{"C1/norm/mean": np.array([{}], dtype=object)})
    return folder / "x.npz"


def truncated(source, keep):
    def make(folder):
        whole = source(folder)
        cut = folder / f"cut{whole.suffix}"
        cut.write_bytes(whole.read_bytes()[:keep])
        return cut

    return make


def changed(**changes):
    def make(folder):
        tensors = {**linen(), **{k.replace("__", "/"): v for k, v in changes.items()}}
        return npz(folder / "x.npz", {k: v for k, v in tensors.items() if v is not None})

    return make


def lying_safetensors(folder):
    text = json.dumps(
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode()
    (folder / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder / "x.safetensors"


def huge_header(folder):
    (folder / "x.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    return folder / "x.safetensors"


def text_file(name):
    def make(folder):
        (folder / name).write_text("hello")
        return folder / name

    return make


HOSTILE = {
    "pickle bomb": (pickle_bomb, "which is more than weights, and is not run"),
    "whole module": (lambda _: HERE / "whole_module.pt", "asks for torch.nn.modules"),
    "doubling bomb": (doubling_bomb, "holds no named tensors"),
    "memo bomb": (memo_bomb, "holds no named tensors"),
    "structure bomb": (structure_bomb, "too large to be the structure of a network"),
    "zip bomb": (zip_bomb, "layer C1/norm has scale (17179869184,)"),
    "pickled npz": (pickled_npz, "is pickled; valid are plain numbers"),
    "cut npz": (truncated(FORMATS["npz"], 900), "is damaged or not an Orbax checkpoint"),
    "cut safetensors": (truncated(FORMATS["safetensors"], 2000), "damaged or truncated"),
    "cut pt": (truncated(FORMATS["pt"], 1500), "not a zip file: truncated"),
    "lying safetensors": (lying_safetensors, "tensor a does not fit its place"),
    "huge header": (huge_header, "the header's length is wrong"),
    "text as pt": (text_file("x.pt"), "not a zip file"),
    "text as npz": (text_file("x.npz"), "is damaged or not"),
    "unknown kind": (text_file("x.onnx"), "not a checkpoint known here; give an Orbax"),
    "missing": (lambda folder: folder / "nothing.pt", "does not exist; give an Orbax"),
    "empty folder": (lambda folder: folder, "no Orbax checkpoint inside"),
    "no norms": (
        lambda f: npz(f / "x.npz", {"a/kernel": np.ones((3, 3, 1, 2))}),
        "no BatchNorm in this npz file: found a/kernel (3, 3, 1, 2)",
    ),
    "NaN": (
        changed(params__C2__norm__scale=np.full(6, np.nan, np.float32)),
        "layer C2/norm has 6 gammas that are not numbers",
    ),
    "no mean": (changed(batch_stats__C2__norm__mean=None), "C2/norm has a running var but no"),
    "no gamma": (
        changed(params__C1__norm__scale=None, params__C2__norm__scale=None),
        "no BatchNorm of a convolution with a gamma: C1/norm has no gamma",
    ),
    "wrong shapes": (
        changed(params__C1__norm__scale=np.ones(5, np.float32)),
        "layer C1/norm has scale (5,), mean (4,), var (4,); valid are vectors of one length",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bad_files_give_one_line_and_code_2(capsys, tmp_path, kind):
    make, message = HOSTILE[kind]
    file, page = make(tmp_path), tmp_path / "page.html"
    code, out, err = run(capsys, file, f"--html={page}")
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not page.exists()
    assert not (tmp_path / "executed").exists()


def test_the_bomb_is_real(tmp_path):
    """Python's own unpickler would have run it."""
    with zipfile.ZipFile(pickle_bomb(tmp_path)) as archive:
        pickle.loads(archive.read("x/data.pkl"))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: FILE_OR_DIR"),
        (["a.npz", "--treshold=1"], "unrecognized arguments: --treshold=1"),
        (["a.npz", "--threshold=x"], "invalid float value: 'x'"),
        (["STATE", "--threshold=-1"], "threshold=-1.0 is not valid"),
        (["STATE", "--html=/proc/nowhere/x.html"], "cannot write /proc/nowhere/x.html"),
    ],
)
def test_bad_flags_give_one_line_and_code_2(capsys, arguments, message):
    filled = [str(HERE / "state_dict.pt") if a == "STATE" else a for a in arguments]
    code, out, err = run(capsys, *filled)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
