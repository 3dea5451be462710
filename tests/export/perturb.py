"""Change one weight of an artifact by a thousandth."""

import zipfile

import h5py


def perturb_h5(path):
    """Add 1e-3 to one weight of the first kernel, that of a convolution if there is one."""
    with h5py.File(path, "r+") as file:
        kernels = []
        file.visititems(lambda name, item: kernels.append(item) if getattr(item, "ndim", 0) > 1 else None)
        kernel = max(kernels, key=lambda item: item.ndim)
        kernel[(0,) * kernel.ndim] += 1e-3


def perturb_keras(path):
    inner = path.with_name("inner.h5")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    inner.write_bytes(files["model.weights.h5"])
    perturb_h5(inner)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {"model.weights.h5": inner.read_bytes()}).items():
            archive.writestr(name, data)
    inner.unlink()


def perturb_bytes(path, kernel):
    """Add 1e-3 to one weight, located by its bytes."""
    data, original = path.read_bytes(), kernel.tobytes()
    assert original in data
    changed = kernel.copy()
    changed.flat[0] += 1e-3
    path.write_bytes(data.replace(original, changed.tobytes()))
