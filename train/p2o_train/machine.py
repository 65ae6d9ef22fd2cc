"""What the machine offers a training: its device, memory and number format."""

import ctypes
import os
import platform
import resource
import sys

import torch

from p2o_train.config import TrainConfig
from p2o_train.processor import read_processor
from p2o_train.team import own_gpu
from points2objects.errors import InputError


def prepare_machine(config: TrainConfig) -> torch.device:
    """Return the device to train on, and set up torch for it.

    Raises:
        InputError: The config wants a GPU, or a number format, that the machine does not have.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device; use --device cpu")
    if config.device != "cpu" and torch.cuda.is_available():
        device = torch.device("cuda", own_gpu())
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        return device
    if config.threads:
        torch.set_num_threads(config.threads)
    _keep_freed_memory()
    return torch.device("cpu")


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Return the context in which the network runs with the config's precision."""
    wanted = config.precision == "bfloat16"
    if config.precision == "auto" and device.type == "cuda":
        wanted = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def peak_memory_gb(device: torch.device) -> float:
    """Return the most memory so far: of torch on a GPU, of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _keep_freed_memory() -> None:
    """Let glibc reuse large buffers instead of returning them to the system.

    Otherwise every activation map is mapped and zeroed anew each step: a fifth of the time.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            m_trim_threshold, m_mmap_max = -1, -4
            mallopt(m_mmap_max, 0)
            mallopt(m_trim_threshold, 2**31 - 1)


def describe_machine() -> str:
    """Return processor, its features, GPU and versions in one line, to stand beside a result."""
    parts = [str(read_processor()), f"torch uses {torch.backends.cpu.get_cpu_capability()}"]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    if limit:
        parts.append(f"oneDNN held to {limit}")
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return "; ".join([*parts, f"torch {torch.__version__}, Python {platform.python_version()}"])
