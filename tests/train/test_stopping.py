"""An interrupted training keeps what it has learned, and a finished one can go on."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from p2o_train.batches import Augment, TrainingData
from p2o_train.config import TrainConfig
from p2o_train.data.sample import Sample
from p2o_train.engine import train
from p2o_train.stopping import stopping
from points2objects.errors import InputError

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def config_for(config_for: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    """Return what makes options of a run whose first checkpoint is due long after its end."""
    return partial(config_for, input_size=64, validate_every=100, save_minutes=1e3)


class Interrupting:
    """Samples that are interrupted when the first is asked for."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int, /) -> Sample:
        raise KeyboardInterrupt


def step_of(folder: Path) -> int:
    return int(torch.load(folder / "checkpoint.pt", weights_only=True)["step"])


def interrupted_inside(number: signal.Signals, done: list[str]) -> None:
    with stopping() as watch:
        with watch.whole():
            os.kill(os.getpid(), number)
            done.append("first half")
            done.append("second half")
        done.append("never")


def interrupted_outside(number: signal.Signals, done: list[str]) -> None:
    with stopping():
        os.kill(os.getpid(), number)
        done.append("never")


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_waits_for_the_end_of_what_must_be_whole(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted_inside(number, done)
    assert done == ["first half", "second half"]
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_comes_at_once_elsewhere(number: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted_outside(number, done)
    assert not done


def test_a_training_that_is_stopped_in_its_first_minutes_goes_on_where_it_was(
    tmp_path: Path,
    noise_data: TrainingData,
    stop_after: Callable[..., Augment],
    config_for: Callable[..., TrainConfig],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config_for(tmp_path, 5), replace(noise_data, augment=stop_after(2)))
    assert step_of(tmp_path) == 1
    assert train(config_for(tmp_path, 5), noise_data).steps == 5


def test_a_finished_training_goes_on_when_it_is_given_more_steps(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    train(config_for(tmp_path, 2), noise_data)
    assert train(config_for(tmp_path, 4), noise_data).steps == 4
    assert step_of(tmp_path) == 4
    assert TrainConfig.from_json((tmp_path / "config.json").read_text()).steps == 4
    by_epochs = replace(config_for(tmp_path, 4), steps=None, epochs=3)
    assert train(by_epochs, noise_data).steps == 6


def test_a_training_cannot_be_shortened_below_what_is_done(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    train(config_for(tmp_path, 3), noise_data)
    with pytest.raises(InputError, match="is that long already; give more --epochs or --steps"):
        train(config_for(tmp_path, 2), noise_data)
    assert TrainConfig.from_json((tmp_path / "config.json").read_text()).steps == 3


def test_a_last_validation_that_was_interrupted_is_made_up_for(
    tmp_path: Path, noise_data: TrainingData, config_for: Callable[..., TrainConfig]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config_for(tmp_path, 1), replace(noise_data, val=Interrupting()))
    assert step_of(tmp_path) == 1
    assert not (tmp_path / "best.pt").exists()
    assert train(config_for(tmp_path, 1), noise_data).map50 >= 0
    assert (tmp_path / "best.pt").is_file()
