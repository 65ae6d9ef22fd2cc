"""The processor and those of its vector instructions that change speed or numbers here."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")

FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "SVE",
}
"""Flag of the system -> what its makers call it, narrow before wide."""

INT8_DOT = ("AVX-VNNI", "AVX-512 VNNI", "dotprod")
"""Any of these multiplies and sums bytes in one step, as int8 speed needs."""


@dataclass(frozen=True)
class Processor:
    """One processor.

    Attributes:
        name: As the system gives it.
        features: Those of `FEATURES` that it has; none where the system does not list them.
    """

    name: str
    features: tuple[str, ...]

    @property
    def has_int8_dot(self) -> bool:
        """Tell whether it multiplies and sums bytes in one step."""
        return any(feature in self.features for feature in INT8_DOT)

    def __str__(self) -> str:
        """Return one line."""
        features = " ".join(self.features) or "no features known"
        return f"{self.name}, {os.cpu_count()} cores, {features}"


def read_processor(cpu_info: Path = CPU_INFO) -> Processor:
    """Return this machine's processor.

    Args:
        cpu_info: Where Linux describes it; elsewhere there is no such file, and no features.
    """
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.is_file() else []
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    # x86 says "flags", ARM "Features".
    flags = set(values.get("flags", values.get("Features", "")).split())
    name = values.get("model name") or platform.processor() or platform.machine()
    return Processor(name, tuple(word for flag, word in FEATURES.items() if flag in flags))
