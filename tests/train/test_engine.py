"""The training loop: exact resume, what a run folder holds, and learning itself."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from p2o_train.batches import Augment, BatchDataset, TrainingData, batches_from
from p2o_train.checkpoint import load_network
from p2o_train.config import LossConfig, OptimConfig, TrainConfig
from p2o_train.data.augment import AugmentConfig
from p2o_train.ema import averaged_copy, update_average
from p2o_train.engine import make_spec, train
from p2o_train.machine import describe_machine
from p2o_train.pictures import ZOOM
from p2o_train.rendered_data import RenderedAugment
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF


def steps_of(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    clock = ("s", "images_per_s")
    return [
        {name: value for name, value in entry.items() if name not in clock} for entry in entries
    ]


def test_a_resumed_run_is_bit_exact(
    tmp_path: Path,
    noise_data: TrainingData,
    stop_after: Callable[..., Augment],
    config_for: Callable[..., TrainConfig],
) -> None:
    """Six steps are three and three: losses, weights, running mean, optimizer, augmentation."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    varied = RenderedAugment(AugmentConfig(), noise_data.shapedb.models)
    data = replace(noise_data, augment=varied)
    train(config_for(whole, 6), data)
    # Two images a batch: the interrupt comes in the middle of the second epoch.
    with pytest.raises(KeyboardInterrupt):
        train(config_for(parts, 6), replace(data, augment=stop_after(6, varied)))
    assert len(steps_of(parts)) == 3
    train(config_for(parts, 6), data)
    assert steps_of(whole) == steps_of(parts)
    assert len({entry["total"] for entry in steps_of(whole) if "total" in entry}) == 6
    first, second = (
        torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole, parts)
    )
    for part in ("network", "average"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), name
    assert not torch.equal(*(first[part]["body.stem.0.weight"] for part in ("network", "average")))
    for number, moments in first["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, second["optimizer"]["state"][number][name])


def test_fine_tuning_starts_from_the_other_run_s_weights(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(config_for(first, 2), noise_data)
    config = replace(config_for(second, 1), init=first, optim=OptimConfig(lr=1e-12))
    train(config, noise_data)
    mine, theirs = (load_network(folder).network.state_dict() for folder in (second, first))
    for name, value in mine.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6)
    assert TrainConfig.from_json((second / "config.json").read_text()).init == first


def test_metrics_past_the_checkpoint_are_dropped(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    train(config_for(tmp_path, 2), noise_data)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "total": 1.0}\n{"step": 4, "to')
    train(config_for(tmp_path, 2), noise_data)
    assert [entry["step"] for entry in steps_of(tmp_path)] == [1, 2, 2]


def test_a_finished_run_is_left_alone(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    train(config_for(tmp_path, 2), noise_data)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    result = train(config_for(tmp_path, 2), noise_data)
    assert result.steps == 2
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_other_options_are_refused_by_name(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    config = config_for(tmp_path, 1)
    train(config, noise_data)
    changed = replace(config, optim=OptimConfig(lr=0.5), threads=2)
    with pytest.raises(InputError, match=r"other options \(optim.lr\); .*--overwrite"):
        train(changed, noise_data)
    assert train(replace(changed, overwrite=True), noise_data).steps == 1


def test_a_gradient_that_overflows_stops_the_run(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    # The loss itself fits a float32; the norm of its gradient, squared on the way, does not.
    config = replace(config_for(tmp_path, 2), loss=LossConfig(key=1e36, point_count=16))
    with pytest.raises(RuntimeError, match=r"the gradient became (inf|nan) at step 0; .*--optim"):
        train(config, noise_data)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_errors_without_a_matched_pair_are_left_out(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    sample = noise_data.val[0]
    empty = replace(
        sample,
        boxes=Box9DoF(*(np.zeros(shape) for shape in ((0, 3, 3), (0, 3), (0, 3)))),
        class_id=sample.class_id[:0],
        model_index=sample.model_index[:0],
        visible_fraction=sample.visible_fraction[:0],
        mirrored=sample.mirrored[:0],
    )
    result = train(config_for(tmp_path, 1), replace(noise_data, val=[empty]))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    figures = json.loads(lines[-1])["validation"]
    assert {"gravity_deg", "collisions"} <= set(figures)
    assert not {"map50", "rotation_deg", "scale", "shape_iou"} & set(figures)
    assert (result.map50, result.map25) == (0, 0)


def test_a_run_by_minutes_ends_annealed(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    result = train(replace(config_for(tmp_path, 1), steps=None, minutes=0.02), noise_data)
    assert result.minutes >= 0.02
    assert (tmp_path / "best.pt").is_file()
    trained = [entry for entry in steps_of(tmp_path) if "total" in entry]
    assert result.steps == len(trained)


def test_the_run_folder_gives_the_network_back(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    config = config_for(tmp_path, 2)
    train(config, noise_data)
    run = load_network(tmp_path)
    assert run.spec == make_spec(config, noise_data)
    assert run.config == config
    assert not run.network.training
    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {"checkpoint", "best", "config", "spec", "data", "metrics", "events"}


def test_tensorboard_shows_boxes_and_heat_maps(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    train(config_for(tmp_path, 1, pictures=1), noise_data)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["images"]) == {"boxes", "heatmap"}
    (shown,) = events.Images("boxes")
    picture = cv2.imdecode(np.frombuffer(shown.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (128 * ZOOM, 128 * ZOOM, 3)
    # The true boxes are drawn in white over the noise.
    assert (picture == 255).all(axis=2).mean() > 0.002


def test_the_end_tells_speed_and_memory(
    tmp_path: Path,
    noise_data: TrainingData,
    caplog: pytest.LogCaptureFixture,
    config_for: Callable[..., TrainConfig],
) -> None:
    caplog.set_level(logging.INFO)
    train(config_for(tmp_path, 3), noise_data)
    lines = [r.getMessage() for r in caplog.records if "images/s" in r.getMessage()]
    # Two steps an epoch: the first ends after step 2, the run within the second.
    assert [line.split(":")[0] for line in lines] == ["step 2, epoch 1.0", "step 3, epoch 1.5"]
    assert all(re.search(r"[\d.]+ images/s, peak memory [\d.]+ GB$", line) for line in lines)
    assert f"machine: {describe_machine()}" in caplog.messages
    events = EventAccumulator(str(tmp_path)).Reload()
    (text,) = events.Tensors("machine/text_summary")
    assert describe_machine().encode() in text.tensor_proto.string_val


def test_bfloat16_stays_close_and_keeps_float32_weights(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        train(config_for(folder, 1, precision=precision), noise_data)
        losses.append(steps_of(folder)[0]["total"])
        weights = torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
        assert {v.dtype for v in weights.values()} == {torch.float32, torch.int64}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("rotation", ["bins", "matrix", "points"])
def test_every_formulation_trains_and_is_scored(
    tmp_path: Path,
    noise_data: TrainingData,
    rotation: Literal["bins", "matrix", "points"],
    config_for: Callable[..., TrainConfig],
) -> None:
    config = config_for(tmp_path, 2, rotation=rotation)
    train(config, noise_data)
    run = load_network(tmp_path)
    assert run.spec.outputs["rotation"] == (8 if rotation == "bins" else 9)
    assert run.config.rotation == rotation
    assert (tmp_path / "best.pt").is_file()


def test_an_empty_split_is_refused(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(InputError, match="at least one image each"):
        train(config_for(tmp_path, 1), replace(noise_data, val=[]))


def test_batches_are_a_function_of_seed_and_step(
    noise_data: TrainingData, tmp_path: Path, config_for: Callable[..., TrainConfig]
) -> None:
    config = config_for(tmp_path, 1)
    dataset = BatchDataset(noise_data, make_spec(config, noise_data), config)
    loader = batches_from(dataset, 3, workers=0)
    for step in (3, 4):
        batch = next(loader)
        assert torch.equal(batch.images, dataset[step].images)
        assert torch.equal(batch.points, dataset[step].points)
    epoch = torch.cat([dataset[0].images, dataset[1].images])
    assert len(torch.unique(epoch.flatten(1), dim=0)) == len(noise_data.train)


def test_running_mean_follows_the_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    average = averaged_copy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
    update_average(average, network, decay=0.5, step=10_000)
    halfway = torch.cat([p.flatten() for p in average.parameters()])
    assert not torch.equal(halfway, torch.ones(5))
    update_average(average, network, decay=0.0, step=1)
    assert torch.equal(torch.cat([p.flatten() for p in average.parameters()]), torch.ones(5))
    assert not any(p.requires_grad for p in average.parameters())
