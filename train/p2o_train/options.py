"""The command line of train/run.py: presets are words that stand before the user's own."""

import sys
from collections.abc import Sequence

from p2o_shapedb.command import parse
from p2o_train.config import TrainConfig

PRESETS: dict[str, tuple[str, ...]] = {
    "mobile": (),
    "smoke": (
        *("--steps", "60", "--batch", "8", "--workers", "0", "--validate-images", "16"),
        *("--network.freeze-stages", "4", "--optim.warmup", "0.1", "--optim.ema", "0.9"),
    ),
    "photo": (
        *("--network.backbone", "yolox-nano", "--network.freeze-stages", "7"),
        *("--network.stride", "8", "--network.peak-channels", "128"),
        *("--network.exemplar-channels", "192", "--gravity", "pooled"),
        *("--mean", "114", "114", "114", "--std", "1", "1", "1"),
    ),
    "paper": (
        *("--epochs", "300", "--batch", "32", "--workers", "2", "--pose", "direct"),
        *("--mean", "123.675", "116.28", "103.53", "--std", "58.395", "57.12", "57.375"),
        *("--network.backbone", "hourglass", "--network.no-pretrained"),
        *("--network.head-channels", "256", "--network.no-separable-heads"),
        *("--loss.points", "10", "--loss.scale", "10", "--loss.shape", "0.1"),
        *("--loss.min-overlap", "0.7"),
        *("--loss.collision", "1", "--loss.gravity", "1", "--loss.point-count", "512"),
        *("--loss.translation", "10", "--loss.rotation-norm", "frobenius"),
        *("--optim.backbone-lr", "1", "--optim.weight-decay", "0", "--optim.ema", "0"),
        *("--optim.warmup", str(5 / 300), "--optim.constant-until", str(200 / 300)),
    ),
}
"""What each preset changes; later words win, so the user's own do."""

DIRECT = ("--rotation", "points", "--loss.positive-radius", "0")
"""What goes with the paper's pose encoding unless the user says otherwise."""

HORIZON = ("--epochs", "--steps", "--minutes")
"""Options that say when a run ends: one from the user replaces the preset's."""


def parse_training(description: str, args: Sequence[str] | None = None) -> TrainConfig:
    """Read the options of a training, on top of its preset's.

    Args:
        description: What the command does.
        args: Words of the command line; those of the process by default.

    Raises:
        SystemExit: As in `p2o_shapedb.command.parse`.
    """
    own = list(sys.argv[1:] if args is None else args)
    words = list(PRESETS.get(_value(own, "--preset"), ()))
    if any(_value(own, flag) for flag in HORIZON) and words[:1] == ["--steps"]:
        words = words[2:]
    pose = _value(own, "--pose") or _value(words, "--pose")
    return parse(TrainConfig, description, [*words, *(DIRECT if pose == "direct" else ()), *own])


def _value(words: Sequence[str], flag: str) -> str:
    """Return what follows a flag, as `--flag value` or `--flag=value`; empty without it."""
    for i, word in enumerate(words):
        if word == flag and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(flag + "="):
            return word[len(flag) + 1 :]
    return ""
