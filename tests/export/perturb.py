"""Change one weight of an artifact by a thousandth."""

import contextlib
import zipfile

import h5py


@contextlib.contextmanager
def editable_h5(path):
    """Yield an HDF5 file that may be edited: a file itself, or a copy of that in a .keras file, which is put back."""
    if path.suffix != ".keras":
        yield path
        return
    inner = path.with_name("inner.h5")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    inner.write_bytes(files["model.weights.h5"])
    yield inner
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {"model.weights.h5": inner.read_bytes()}).items():
            archive.writestr(name, data)
    inner.unlink()


def perturb_h5(path):
    """Add 1e-3 to one weight of the first kernel, that of a convolution if there is one, of an .h5 or .keras file."""
    with editable_h5(path) as inner, h5py.File(inner, "r+") as file:
        kernels = []
        file.visititems(lambda name, item: kernels.append(item) if getattr(item, "ndim", 0) > 1 else None)
        kernel = max(kernels, key=lambda item: item.ndim)
        kernel[(0,) * kernel.ndim] += 1e-3


def perturb_bytes(path, kernel):
    """Add 1e-3 to one weight, located by its bytes."""
    data, original = path.read_bytes(), kernel.tobytes()
    assert original in data
    changed = kernel.copy()
    changed.flat[0] += 1e-3
    path.write_bytes(data.replace(original, changed.tobytes()))
