"""Which vector instructions a figure was measured with."""

from pathlib import Path

import pytest
import torch

from p2o_train.machine import describe_machine
from p2o_train.processor import read_processor

X86 = (
    "processor\t: 0\nmodel name\t: {0}\nflags\t\t: fpu sse2 {1}\n\nprocessor\t: 1\nflags\t: other\n"
)


@pytest.mark.parametrize(
    ("text", "line", "int8"),
    [
        (X86.format("Old", "avx2 fma"), "Old, {n} cores, AVX2", False),
        (X86.format("Bare", "avx"), "Bare, {n} cores, no features known", False),
        (
            X86.format("Wide", "avx2 avx512f avx512_vnni avx512_bf16 amx_int8"),
            "Wide, {n} cores, AVX2 AVX-512 AVX-512 VNNI AVX-512 BF16 AMX",
            True,
        ),
        (X86.format("Small", "avx2 avx_vnni"), "Small, {n} cores, AVX2 AVX-VNNI", True),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n", "{n} cores, dotprod i8mm", True),
    ],
)
def test_features_are_read_from_what_linux_says(
    text: str, line: str, int8: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    (tmp_path / "cpuinfo").write_text(text)
    processor = read_processor(tmp_path / "cpuinfo")
    assert str(processor).endswith(line.format(n=3))
    assert processor.has_int8_dot == int8


def test_elsewhere_the_features_are_unknown(tmp_path: Path) -> None:
    processor = read_processor(tmp_path / "missing")
    assert processor.name
    assert str(processor).endswith("no features known")
    assert not processor.has_int8_dot


def test_the_machine_s_line_says_what_is_there_and_what_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    line = describe_machine()
    assert line.startswith(f"{read_processor()}; torch uses ")
    assert "; oneDNN held to AVX2; " in line
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        assert "AVX-512" in read_processor().features
