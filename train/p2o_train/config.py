"""Options of training; the defaults are the phone's network.

Importing this costs nothing: no torch, so `--help` answers at once.
"""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from points2objects.errors import InputError
from points2objects.strict_json import as_table, parse_json

MOST_CONFIG_BYTES = 1 << 20
"""Largest config.json or spec.json that is read."""


@dataclass(frozen=True)
class NetworkConfig:
    """What the network looks like."""

    backbone: str = "mobile"
    """mobile: EfficientNet-Lite0 and a light decoder. yolox-nano: a detector of photographs with
    its own scores, and the decoder. hourglass: the paper's. timm:NAME: that backbone of timm, if it
    is installed, and the decoder."""
    pretrained: bool = True
    """Start the backbone from ImageNet weights; the hourglass has none."""
    weights: Path | None = None
    """yolox-nano: the published yolox_nano.onnx. Without it the body starts from --init, or from
    nothing."""
    freeze_stages: int = 3
    """So many leading stages of the backbone stay as they are (stem = 1; mobile 0..8; yolox-nano:
    five stages, 6 is the pyramid, 7 its own head); those of timm's all learn."""
    freeze_norm: bool = True
    """Keep the batch norm statistics of the mobile backbone; scale and shift still train."""
    stride: Literal[4, 8] = 4
    """Input pixels per cell of the output maps; 8 for yolox-nano only."""
    decoder_channels: tuple[int, int, int] = (128, 96, 64)
    """Widths of the decoder at strides 16, 8 and 4."""
    head_channels: int = 64
    """Width inside each head (paper: 256)."""
    peak_channels: int = 0
    """Width inside the heads that the runtime evaluates at peaks only, all but the heat-map's, and
    full 3x3 convolutions in them; 0: like the heat-map's."""
    exemplar_channels: int = 0
    """Width inside the exemplar head; 0: that of the others."""
    separable_heads: bool = True
    """Depthwise 3x3 plus 1x1 in the heads instead of a full 3x3."""
    hourglass_stem: int = 128
    """Channels after the hourglass' first convolution."""
    hourglass_widths: tuple[int, ...] = (256, 256, 384, 384, 384, 512)
    """Channels of each hourglass level; the last is the bottleneck."""
    hourglass_stacks: int = 1
    """Hourglasses one after the other; only the last is supervised."""

    def __post_init__(self) -> None:
        if self.backbone not in ("mobile", "yolox-nano", "hourglass") and not self.timm_name:
            raise InputError(
                "--network.backbone must be mobile, yolox-nano, hourglass or timm:NAME, as in "
                f"timm:mobilenetv2_100, got {self.backbone!r}"
            )
        _at_least("--network.hourglass-stacks", self.hourglass_stacks, 1)
        if self.stride == 8 and self.backbone != "yolox-nano":
            raise InputError("--network.stride 8 needs --network.backbone yolox-nano")
        _at_least("--network.head-channels", self.head_channels, 1)
        _at_least("--network.peak-channels", self.peak_channels, 0)
        _at_least("--network.exemplar-channels", self.exemplar_channels, 0)
        if not 0 <= self.freeze_stages <= 8:
            raise InputError(f"--network.freeze-stages must be in 0..8, got {self.freeze_stages}")
        if len(self.hourglass_widths) < 2:
            raise InputError("--network.hourglass-widths needs two levels or more")

    @property
    def timm_name(self) -> str:
        """Name of timm's backbone; empty for the others."""
        return self.backbone.removeprefix("timm:") if self.backbone.startswith("timm:") else ""

    @property
    def size_step(self) -> int:
        """The input's side must be a multiple of this, px."""
        return 4 * 2 ** (len(self.hourglass_widths) - 1) if self.backbone == "hourglass" else 32


_LOSS_TERMS = ("key", "points", "scale", "shape", "collision", "offset", "distance", "gravity",
               "settled", "translation", "photo_key", "photo_box")  # fmt: skip


@dataclass(frozen=True)
class LossConfig:
    """Weights and forms of the terms of eq. 10; a weight of 0 switches a term off."""

    key: float = 1.0
    """Heat-map focal loss (eq. 1)."""
    points: float = 2.0
    """What --rotation says: eq. 7, or a loss of the rotation alone (paper: 10)."""
    scale: float = 2.0
    """L1 of the scale head (paper: 10, in scene units; RAY: log units)."""
    shape: float = 0.2
    """Shape selection (eq. 3 or 4)."""
    collision: float = 0.1
    """Collisions (eq. 9; paper: 1.0)."""
    offset: float = 0.3
    """RAY only: L1 of the sub-cell offset, cells."""
    distance: float = 4.0
    """RAY only: L1 of the log-distance."""
    gravity: float = 4.0
    """L1 of the gravity head."""
    settled: float = 3.0
    """RAY only: how far the box, set down on the support plane, lies from where it should."""
    photo_key: float = 1.0
    """Heat-map focal loss on photographs."""
    photo_box: float = 1.0
    """On photographs, how far the placed exemplar's rectangle is off the labelled one."""
    translation: float = 1.0
    """DIRECT only, unless --rotation points has it in eq. 7: Huber loss of the box centre."""
    shape_labels: Literal["soft", "hard", "overlap"] = "soft"
    """soft: eq. 4-5. hard: eq. 2-3. overlap: eq. 4 with the IoU of exemplar and model as solids, in
    canonical pose, in place of eq. 5."""
    literal_soft: bool = False
    """Only the positive term of eq. 4, as printed; it rewards large logits everywhere."""
    soft_temperature: float = 0.0
    """If above 0, soft labels are learned as one choice among the exemplars, softmax of labels over
    this, and not each alone as in eq. 4."""
    rotation_norm: Literal["points", "frobenius"] = "points"
    """--rotation svd and matrix: points weighs the matrix' columns by the object's own surface
    points, so that a turn counts as far as it moves them; frobenius takes them alike (paper)."""
    points_by_distance: bool = False
    """--rotation points: divide by the squared distance, so that far objects do not outweigh near
    ones."""
    collision_from: float = 1 / 3
    """Share of the training after which collisions count (paper: epoch 100 of 300)."""
    min_overlap: float = 0.3
    """The heat-map's Gaussians reach as far as a box can move and still overlap its object so much
    (CornerNet: 0.7). The centre of a large object is no visible spot: narrow Gaussians punish
    every guess beside it, and large objects then score low."""
    positive_radius: float = 1.0
    """The pose and shape heads learn at cells at least so far from the centre's (0: only there, as
    in the paper; 1: a cross of five). RAY only: an offset tells where the centre is."""
    positive_spread: float = 1.0
    """They learn up to so many standard deviations of the object's Gaussian, if that is farther
    (TTFNet: the many cells of a large object teach faster than one)."""
    point_count: int = 64
    """Surface points of an object that eq. 7 and 8 use, of 512."""

    def __post_init__(self) -> None:
        for term in _LOSS_TERMS:
            _weight(f"--loss.{term.replace('_', '-')}", getattr(self, term))
        _weight("--loss.soft-temperature", self.soft_temperature)
        _weight("--loss.positive-radius", self.positive_radius)
        _weight("--loss.positive-spread", self.positive_spread)
        if self.literal_soft and self.soft_temperature > 0:
            raise InputError(
                "--loss.literal-soft and --loss.soft-temperature exclude each other; give one"
            )
        if not 0 < self.min_overlap < 1:
            raise InputError(f"--loss.min-overlap must be in 0..1, got {self.min_overlap}")
        if not 0 <= self.collision_from <= 1:
            raise InputError(f"--loss.collision-from must be in 0..1, got {self.collision_from}")
        if not 1 <= self.point_count <= 512:
            raise InputError(f"--loss.point-count must be in 1..512, got {self.point_count}")


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move."""

    lr: float = 1e-3
    """Peak learning rate (paper: 1e-3)."""
    backbone_lr: float = 0.3
    """Factor on it for the pretrained backbone."""
    weight_decay: float = 1e-4
    """AdamW's decay of matrices and kernels; 0 is the paper's Adam."""
    warmup: float = 0.03
    """Share of the training with a rising rate (paper: 5 of 300 epochs)."""
    constant_until: float = 0.3
    """Share of the training after which the rate falls along a cosine (paper: 200 of 300)."""
    clip: float = 10.0
    """Largest norm of the gradient."""
    ema: float = 0.998
    """Decay of the running mean of the weights that is validated and exported; 0: none."""

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.constant_until <= 1:
            raise InputError(
                "--optim: expected 0 <= warmup <= constant-until <= 1, got "
                f"{self.warmup} and {self.constant_until}"
            )
        if not 0 <= self.ema < 1:
            raise InputError(f"--optim.ema must be in 0..1, got {self.ema}")
        if self.lr <= 0 or self.clip <= 0:
            raise InputError("--optim.lr and --optim.clip must be positive")


HEADS = ("heatmap", "rotation", "translation", "scale", "gravity", "exemplar")
"""The network's outputs (`ModelSpec.outputs`)."""


FREE = (
    *(
        "dataset",
        "photos",
        "shapedb",
        "out",
        "device",
        "precision",
        "threads",
        "workers",
        "save_minutes",
    ),
    *("pictures", "overwrite", "verbose", "features", "solids"),
)
"""Options that may change while a run goes on: where files lie, and how the machine is used."""


LENGTH = ("epochs", "steps", "minutes")
"""Options that say how long a run is, which may be made longer or shorter while it goes on."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; written as config.json beside its weights."""

    dataset: Path = Path("dataset")
    """Folder from train/make_dataset.py."""
    photos: Path | None = None
    """labels.json of photographs with rectangles to learn from as well (docs/photographs.md)."""
    photo_batch: int = 8
    """Photographs in each step, beside the --batch rendered pictures."""
    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py."""
    out: Path = Path("runs/default")
    """Where the run goes. The same command again goes on from its last checkpoint."""
    preset: Literal["smoke", "mobile", "photo", "paper"] = "mobile"
    """Defaults of everything else. smoke: two minutes on two cores, to see that it runs. mobile:
    the phone's network. photo: the same on a body that knows photographs. paper: hourglass, 300
    epochs, batch 32, pose in the level frame."""
    init: Path | None = None
    """Run to start the weights from (fine-tuning): every tensor that fits is taken over."""
    fresh_heads: tuple[str, ...] = ()
    """Heads that --init leaves alone, as in a comparison of two losses for the same head: heatmap,
    rotation, translation, scale, gravity, exemplar."""
    frozen: int | None = None
    """Only the --fresh-heads learn (without any: all but the heat-map's), on the features of --init
    of so many augmented images, which are computed once: minutes where a training takes hours, for
    comparing losses."""
    features: Path = Path("runs/features")
    """Where --frozen keeps features for the next run that asks for the same."""
    solids: Path | None = None
    """Folder that keeps the models' solids, for --loss.shape-labels overlap; <shapedb>.cache/solids
    by default."""
    epochs: int = 60
    """Passes over the training images."""
    steps: int | None = None
    """Stop after so many steps instead of --epochs. The same command with more of them goes on
    with a finished run."""
    minutes: float | None = None
    """Stop after so many minutes of training instead of --epochs."""
    batch: int = 16
    """Images a step, over all processes (paper: 32)."""
    pose: Literal["ray", "direct"] = "ray"
    """How the pose heads are encoded; direct is the paper's."""
    gravity: Literal["peaks", "pooled"] = "peaks"
    """Who says where up is: the objects' peaks, or cells all over the picture, by confidence."""
    rotation: Literal["bins", "matrix", "svd", "points"] = "svd"
    """Formulation of the box (table 2). bins: CenterNet's heading in two bins and an offset.
    matrix: nine entries, projected to a rotation only when they are read (L_M). svd: projected in
    training too (L_R). All three learn the centre apart. points: both by eq. 7 (L_Rt)."""
    input_size: int = 256
    """Side of the network's input, px; the dataset's pictures are shrunk to it."""
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    """RGB subtracted from the image; EfficientNet-Lite's own."""
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)
    """RGB divisor after that."""
    augment: bool = True
    """Flip, roll, colour and noise augmentation of the training images."""
    seed: int = 0
    """Of weights, order and augmentation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA when there is one. Under torchrun each process takes the GPU of its own rank."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's maps; the losses are float32. auto: bfloat16 on a GPU that has it, float32
    elsewhere."""
    threads: int = 0
    """Threads of torch on the CPU; 0: all cores."""
    workers: int = 1
    """Processes that load and augment images; 0: load in the training process."""
    validate_every: int = 5
    """Epochs between validations (the last step is always validated)."""
    validate_images: int = 200
    """At most so many validation images."""
    save_minutes: float = 3.0
    """Minutes between checkpoints inside an epoch."""
    pictures: int = 4
    """Validation images that go to TensorBoard with heat-map and boxes; 0: none."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    overwrite: bool = False
    """Start anew although --out holds a run."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        _at_least("--epochs", self.epochs, 1)
        _at_least("--batch", self.batch, 1)
        _at_least("--photo-batch", self.photo_batch, 1)
        _at_least("--workers", self.workers, 0)
        _at_least("--threads", self.threads, 0)
        _at_least("--validate-every", self.validate_every, 1)
        _at_least("--validate-images", self.validate_images, 1)
        if self.steps is not None:
            _at_least("--steps", self.steps, 1)
        if self.minutes is not None and self.minutes <= 0:
            raise InputError(f"--minutes must be positive, got {self.minutes}")
        if self.steps is not None and self.minutes is not None:
            raise InputError("--steps and --minutes exclude each other; give one")
        if self.photos is not None and self.gravity != "pooled":
            raise InputError(
                "--photos needs --gravity pooled: rectangles are compared under the gravity that "
                "the network sees, and a photograph has no other"
            )
        if self.pose == "direct" and self.loss.positive_radius > 0:
            raise InputError("--pose direct needs --loss.positive-radius 0")
        if self.loss.points_by_distance and self.rotation != "points":
            raise InputError("--loss.points-by-distance needs --rotation points")
        self._check_frozen()
        step = self.network.size_step
        if self.input_size < step or self.input_size % step:
            raise InputError(f"--input-size must be a multiple of {step}, got {self.input_size}")
        unknown = set(self.fresh_heads) - set(HEADS)
        if unknown:
            raise InputError(
                f"--fresh-heads must be of {', '.join(HEADS)}, got {', '.join(sorted(unknown))}"
            )

    def _check_frozen(self) -> None:
        if self.frozen is None:
            return
        _at_least("--frozen", self.frozen, self.batch)
        if self.init is None:
            raise InputError("--frozen needs --init: it says whose features the heads learn on")
        if "heatmap" in self.fresh_heads:
            raise InputError("--frozen leaves the heat-map as it is: it cannot be a fresh head")

    def to_json(self) -> str:
        """Serialise; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Read what `to_json` wrote.

        Raises:
            InputError: Not JSON, a field is unknown, or a value is out of range.
        """
        try:
            values = dict(as_table("it", parse_json(text, MOST_CONFIG_BYTES)))
            network = values.pop("network")
            for key in ("decoder_channels", "hourglass_widths"):
                network[key] = tuple(network[key])
            network["weights"] = Path(network["weights"]) if network.get("weights") else None
            loss = values.pop("loss")
            _bring_up_to_date(values, loss)
            values["fresh_heads"] = tuple(values.get("fresh_heads", ()))
            for key in ("mean", "std"):
                values[key] = tuple(values[key])
            for key in ("dataset", "shapedb", "out", "features"):
                if key in values:
                    values[key] = Path(values[key])
            for key in ("init", "photos"):
                values[key] = Path(values[key]) if values.get(key) else None
            return cls(
                network=NetworkConfig(**network),
                loss=LossConfig(**loss),
                optim=OptimConfig(**values.pop("optim")),
                **values,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"config.json: not a training config ({error})") from error

    def same_training(self, other: "TrainConfig") -> bool:
        """Tell whether a run under `other` may go on under this config.

        Where files lie and how the machine is used may differ; what is learned may not.
        """
        return self._learning() == other._learning()

    def _learning(self) -> "TrainConfig":
        standard = TrainConfig()
        return replace(self, **{name: getattr(standard, name) for name in FREE + LENGTH})


def _bring_up_to_date(values: dict[str, Any], loss: dict[str, Any]) -> None:
    """Say in today's words what a config of an earlier version says, in place."""
    form = loss.pop("point_form", None)
    if form is not None:
        values.setdefault("rotation", "points" if form == "joint" else "svd")
    values.setdefault("gravity", "peaks")
    # This term is on by default; a config from before it had none.
    loss.setdefault("settled", 0.0)


def _weight(flag: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise InputError(f"{flag} must be at least 0 and finite, got {value}")


def _at_least(flag: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")
