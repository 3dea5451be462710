"""Kernels and numbers of threads, as environment variables of the process of a runtime."""

from collections.abc import Mapping
from dataclasses import dataclass

from export.proof.prove import check_names
from export.versions.releases import Release


@dataclass(frozen=True)
class Variant:
    """One way to compute."""

    name: str  # how tables name it; "" for the usual way
    variables: Mapping[str, str]  # environment variables of the process
    runtimes: tuple[str, ...] = ()  # those that read them; empty for all

    def suits(self, release: Release) -> bool:
        """Whether the runtime of a release reads the variables."""
        return (not self.runtimes or release.package.runtime in self.runtimes) and not (
            release.package.pinned and self.variables
        )


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("usual", {}),
        # TensorFlow's own kernels in place of oneDNN's
        Variant("eigen", {"TF_ENABLE_ONEDNN_OPTS": "0"}, ("c_api",)),
        # oneDNN as on an older processor
        Variant("avx2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, ("c_api", "openvino")),
        Variant("sse41", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, ("c_api", "openvino")),
        *(
            Variant(f"{n} thread{'s' * (n > 1)}", {"EXPORT_THREADS": str(n), "TF_NUM_INTRAOP_THREADS": str(n)})
            for n in (1, 2, 4)
        ),
    )
}


def variants(names: str) -> list[Variant]:
    """Return variants by their names, separated by commas; "all" for all."""
    if names == "all":
        return [*VARIANTS.values()]
    chosen = [name.strip() for name in names.split(",")]
    check_names(chosen, tuple(VARIANTS), "variant")
    return [VARIANTS[name] for name in chosen]
