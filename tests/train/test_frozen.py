"""Heads that learn on features computed once learn what they would from the pictures."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from p2o_train.batches import Augment, Batch, BatchDataset, TrainingData
from p2o_train.checkpoint import TrainingState, load_network
from p2o_train.config import LossConfig, NetworkConfig, OptimConfig, TrainConfig
from p2o_train.ema import averaged_copy
from p2o_train.engine import make_spec, train
from p2o_train.frozen import FrozenBatch, freeze, frozen_batches, load_or_freeze
from p2o_train.network.build import build_network
from p2o_train.step import Learner, make_optimizer
from points2objects.errors import InputError


@pytest.fixture
def config(
    tmp_path: Path, tiny_network: NetworkConfig, config_for: Callable[..., TrainConfig]
) -> TrainConfig:
    """Return options whose heads are deep, and whose losses all count from the start."""
    return config_for(
        tmp_path / "run",
        features=tmp_path / "features",
        validate_images=1,
        network=replace(tiny_network, separable_heads=True),
        loss=LossConfig(point_count=64, collision=1.0, collision_from=0.0),
    )


@pytest.fixture
def init(tmp_path: Path, noise_data: TrainingData, config: TrainConfig) -> Path:
    """Return a run whose norm statistics are not those of a fresh network."""
    config = replace(config, out=tmp_path / "init", steps=3)
    return train(config, noise_data).folder


def frozen_state(config: TrainConfig, data: TrainingData) -> TrainingState:
    torch.manual_seed(3)
    network = build_network(config.network, make_spec(config, data))
    network.freeze_body()
    return TrainingState(network, averaged_copy(network), make_optimizer(network, config.optim))


def test_cached_features_teach_as_the_pictures_do(
    tmp_path: Path, noise_data: TrainingData, config: TrainConfig
) -> None:
    """Terms, gradients and weights of four steps agree with those of the whole network."""
    spec = make_spec(config, noise_data)
    dataset = BatchDataset(noise_data, spec, config)
    learner = Learner.of(config, spec, noise_data.shapedb)
    seen, cached = frozen_state(config, noise_data), frozen_state(config, noise_data)
    for step in range(4):
        batch = dataset[step]
        want = learner.step(seen, Batch(batch, None), progress=step / 4)
        kept = freeze(cached.network, batch, spec, torch.float32)
        have = learner.step(cached, kept, progress=step / 4)
        assert want["key"] > 0
        assert have["key"] == 0
        for name in set(want) - {"key", "total", "s"}:
            assert have[name] == pytest.approx(want[name], rel=1e-5, abs=1e-5), name
        # The heat-map has no part in what is left.
        assert have["total"] == pytest.approx(want["total"] - want["key"], rel=1e-5)
    theirs = cached.network.state_dict()
    for name, value in seen.network.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5, msg=name)


def test_half_precision_costs_a_thousandth(
    tmp_path: Path, noise_data: TrainingData, config: TrainConfig
) -> None:
    spec = make_spec(config, noise_data)
    network = frozen_state(config, noise_data).network
    batch = BatchDataset(noise_data, spec, config)[0]
    whole = freeze(network, batch, spec, torch.float32)
    half = freeze(network, batch, spec)
    assert half.patches.dtype == torch.float16
    want, have = (kept.outputs(network.heads) for kept in (whole, half))
    for name, value in want.items():
        torch.testing.assert_close(have[name], value, rtol=1e-2, atol=1e-3, msg=name)
    # Neither the pictures nor the heat-map lie behind what is kept.
    for field in fields(half.targets):
        kept = getattr(half.targets, field.name)
        assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size(), field.name


@pytest.mark.parametrize("fresh", [(), ("rotation", "exemplar")])
def test_only_the_heads_in_question_change(
    tmp_path: Path,
    init: Path,
    noise_data: TrainingData,
    fresh: tuple[str, ...],
    config: TrainConfig,
) -> None:
    """The fresh ones, or else all but the heat-map's."""
    config = replace(config, frozen=4, init=init, fresh_heads=fresh)
    train(config, noise_data)
    before, after = (load_network(run).network.state_dict() for run in (init, config.out))
    heads = fresh or ("rotation", "translation", "scale", "gravity", "exemplar")
    for name, value in after.items():
        learns = name.startswith(tuple(f"heads.heads.{head}." for head in heads))
        assert torch.equal(value, before[name]) != learns, name


def test_the_next_run_takes_the_features_that_are_there(
    tmp_path: Path,
    init: Path,
    noise_data: TrainingData,
    stop_after: Callable[..., Augment],
    config: TrainConfig,
) -> None:
    config = replace(config, frozen=4, init=init)
    train(config, noise_data)
    (path,) = config.features.iterdir()
    # A single picture more would stop this run.
    again = replace(noise_data, augment=stop_after(0))
    train(replace(config, out=tmp_path / "again", rotation="bins"), again)
    with pytest.raises(KeyboardInterrupt):
        train(replace(config, out=tmp_path / "more", seed=1), again)
    path.write_bytes(b"torn")
    with pytest.raises(InputError, match=r"\.pt: not readable; delete it to compute"):
        train(replace(config, out=tmp_path / "torn"), noise_data)


def test_kept_features_come_back_as_they_were(
    tmp_path: Path, noise_data: TrainingData, config: TrainConfig
) -> None:
    config = replace(config, frozen=4, init=tmp_path)
    dataset = BatchDataset(noise_data, make_spec(config, noise_data), config)
    network = frozen_state(config, noise_data).network
    made, read = (load_or_freeze(config, dataset, network) for _ in range(2))
    assert len(made) == len(read) == 2
    for first, second in zip(made, read, strict=True):
        assert torch.equal(first.patches, second.patches)
        for field in fields(first.targets):
            assert torch.equal(*(getattr(b.targets, field.name) for b in (first, second)))
    # Another body has other features.
    with torch.no_grad():
        next(network.body.parameters()).add_(0.1)
    changed = load_or_freeze(config, dataset, network)
    assert not torch.equal(changed[0].patches, made[0].patches)


def test_each_epoch_shows_every_batch_once_and_resumes_anywhere(
    tmp_path: Path, noise_data: TrainingData, config: TrainConfig
) -> None:
    spec = make_spec(config, noise_data)
    network = frozen_state(config, noise_data).network
    dataset = BatchDataset(noise_data, spec, config)
    batches = [freeze(network, dataset[step], spec) for step in range(5)]
    index = {id(batch): i for i, batch in enumerate(batches)}

    def order(first_step: int, count: int) -> list[int]:
        shown: list[FrozenBatch] = list(islice(frozen_batches(batches, 7, first_step), count))
        return [index[id(batch)] for batch in shown]

    whole = order(0, 20)
    for epoch in range(4):
        assert sorted(whole[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]
    assert whole[:5] != whole[5:10]
    for first_step in (1, 5, 12):
        assert order(first_step, 20 - first_step) == whole[first_step:]


def test_what_cannot_be_frozen_is_refused() -> None:
    with pytest.raises(InputError, match="--frozen needs --init"):
        TrainConfig(frozen=16)
    with pytest.raises(InputError, match="--frozen must be at least 16, got 8"):
        TrainConfig(frozen=8, init=Path("run"))
    with pytest.raises(InputError, match="cannot be a fresh head"):
        TrainConfig(frozen=16, init=Path("run"), fresh_heads=("heatmap",))


def test_gradients_are_clipped_before_they_move_the_weights(
    noise_data: TrainingData, config: TrainConfig
) -> None:
    """What is logged is the length before; what is left on the weights is the limit."""
    config = replace(config, optim=OptimConfig(clip=0.01))
    spec = make_spec(config, noise_data)
    batch = BatchDataset(noise_data, spec, config)[0]
    learner = Learner.of(config, spec, noise_data.shapedb)
    state = frozen_state(config, noise_data)
    numbers = learner.step(state, Batch(batch, None), progress=0.0)
    left = [p.grad.norm() for p in state.network.parameters() if p.grad is not None]
    assert numbers["gradient"] > 0.1
    assert torch.stack(left).norm().item() == pytest.approx(0.01, rel=1e-3)
