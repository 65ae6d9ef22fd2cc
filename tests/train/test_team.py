"""Two processes that train together learn what one would from the whole batch."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from p2o_train.batches import Augment, BatchDataset, TrainingData
from p2o_train.config import LossConfig, TrainConfig
from p2o_train.data.sample import Sample
from p2o_train.engine import make_spec, train
from p2o_train.team import ALONE, Team
from points2objects.errors import InputError

WORKER = Path(__file__).with_name("team_worker.py")


@pytest.fixture
def team_config(config_for: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    """Return what makes the options of a run that several processes can share."""
    # All points: their order is drawn, and a sum must not depend on it.
    loss = LossConfig(point_count=512, collision_from=0.0)
    return partial(config_for, batch=4, validate_images=1, loss=loss)


def torchrun(config: TrainConfig, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "wanted.json"
    path.write_text(config.to_json())
    words = ["--standalone", "--nproc-per-node", "2", str(WORKER), str(path)]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def steps_of(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if "total" in entry]


def test_two_processes_go_on_as_one_would(
    tmp_path: Path,
    uneven_data: TrainingData,
    stop_after: Callable[..., Augment],
    team_config: Callable[..., TrainConfig],
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(team_config(whole), uneven_data)
    with pytest.raises(KeyboardInterrupt):
        train(team_config(parts), replace(uneven_data, augment=stop_after(4)))
    assert len(steps_of(parts)) == 1
    done = torchrun(team_config(parts), tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["4", "4", "False", "True"]

    one, two = steps_of(whole), steps_of(parts)
    assert [entry["step"] for entry in two] == [1, 2, 3, 4]
    assert one[0]["collision"] > 0
    for alone, together in zip(one, two, strict=True):
        for name in alone.keys() - {"s", "images_per_s"}:
            rough = 0.01 if name == "gradient" else 1e-3
            assert together[name] == pytest.approx(alone[name], rel=rough, abs=1e-5), name
    first, second = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
        for folder in (whole, parts)
    )
    # The weights differ by rounding that Adam blows up; the shared statistics tell more.
    for name in (name for name in first if "running" in name):
        torch.testing.assert_close(second[name], first[name], rtol=1e-2, atol=1e-3, msg=name)
    # The second part opened one log of its own: that of the leading process.
    assert len(list(parts.glob("events.*"))) == 2
    assert (parts / "best.pt").is_file()


def test_a_share_is_every_second_sample_with_an_augmentation_of_its_own(
    tmp_path: Path, uneven_data: TrainingData, team_config: Callable[..., TrainConfig]
) -> None:
    config = team_config(tmp_path)
    spec = make_spec(config, uneven_data)
    whole = BatchDataset(uneven_data, spec, config, ALONE)[3]
    shares = [BatchDataset(uneven_data, spec, config, Team(rank, 2))[3] for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.images, whole.images[rank::2])
    assert sum(len(share) for share in shares) == len(whole)
    torch.testing.assert_close(shares[0].counts + shares[1].counts, whole.counts)

    def noisy(sample: Sample, rng: np.random.Generator) -> Sample:
        return replace(sample, image=rng.integers(0, 256, sample.image.shape, dtype=np.uint8))

    data = replace(uneven_data, augment=noisy)
    first, second = (BatchDataset(data, spec, config, Team(r, 2))[0].images for r in (0, 1))
    assert not torch.equal(first, second)


def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uneven_data: TrainingData,
    team_config: Callable[..., TrainConfig],
) -> None:
    monkeypatch.setattr(
        "p2o_train.engine.joined", lambda device: contextlib.nullcontext(Team(0, 3))
    )
    with pytest.raises(InputError, match="--batch must be a multiple of the 3 processes"):
        train(team_config(tmp_path), uneven_data)
