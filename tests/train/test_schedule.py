"""The learning rate over a run, by steps and by time."""

import pytest
from torch import nn

from p2o_train.config import OptimConfig, TrainConfig
from p2o_train.ema import averaged_copy, update_average
from p2o_train.options import parse_training
from p2o_train.schedule import Horizon, lr_factor

PAPER = OptimConfig(warmup=5 / 300, constant_until=200 / 300)


def test_paper_schedule_warms_up_stays_and_falls_along_a_cosine() -> None:
    def at(epoch: float) -> float:
        return lr_factor(epoch / 300, PAPER)

    assert at(0) == pytest.approx(0.01)
    assert at(2.5) == pytest.approx(0.5)
    assert at(5) == at(100) == at(200) == 1
    assert at(250) == pytest.approx(0.5)
    assert at(300) == pytest.approx(0)


def test_rate_never_rises_after_the_warm_up() -> None:
    config = OptimConfig()
    rates = [lr_factor(i / 1000, config) for i in range(30, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_epochs_steps_and_minutes_end_a_run() -> None:
    assert Horizon.of(TrainConfig(epochs=3), 10) == Horizon(30, None)
    assert Horizon.of(TrainConfig(epochs=3, steps=7), 10) == Horizon(7, None)
    assert Horizon.of(TrainConfig(minutes=2), 10) == Horizon(None, 120)


def test_progress_counts_steps_or_seconds_and_stops_at_one() -> None:
    assert Horizon(10, None).progress(5, 1e9) == 0.5
    assert Horizon(None, 60).progress(10**9, 15) == 0.25
    assert Horizon(None, 60).progress(0, 61) == 1


def test_the_user_s_horizon_replaces_the_preset_s() -> None:
    assert parse_training("", ["--preset", "smoke"]).steps == 60
    assert parse_training("", ["--preset=smoke", "--epochs", "2"]).steps is None
    assert parse_training("", ["--preset", "smoke", "--steps", "9"]).steps == 9
    assert parse_training("", ["--preset", "smoke", "--minutes", "1"]).minutes == 1


def test_paper_preset_is_the_paper_s() -> None:
    config = parse_training("", ["--preset", "paper"])
    assert (config.epochs, config.batch, config.pose) == (300, 32, "direct")
    assert config.network.backbone == "hourglass"
    assert config.rotation == "points"
    assert config.loss.positive_radius == 0
    weights = (config.loss.points, config.loss.scale, config.loss.shape, config.loss.collision)
    assert weights == (10, 10, 0.1, 1)
    assert config.optim.warmup * 300 == pytest.approx(5)


def test_direct_pose_brings_what_it_needs() -> None:
    config = parse_training("", ["--pose", "direct"])
    assert (config.rotation, config.loss.positive_radius) == ("points", 0)
    assert parse_training("", []).rotation == "svd"
    assert parse_training("", ["--pose", "direct", "--rotation", "bins"]).rotation == "bins"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--steps", "5", "--minutes", "1"], "--steps and --minutes exclude each other"),
        (["--network.freeze-stages", "9"], "--network.freeze-stages must be in 0..8, got 9"),
        (["--loss.points", "-1"], "--loss.points must be at least 0 and finite, got -1.0"),
        (["--loss.gravity", "nan"], "--loss.gravity must be at least 0 and finite, got nan"),
        (["--loss.positive-radius", "-1"], "--loss.positive-radius must be at least 0 and"),
        (["--loss.collision-from", "1.5"], "--loss.collision-from must be in 0..1, got 1.5"),
        (["--loss.point-count", "0"], "--loss.point-count must be in 1..512, got 0"),
        (["--loss.point-count", "513"], "--loss.point-count must be in 1..512, got 513"),
        (["--loss.points-by-distance"], "--loss.points-by-distance needs --rotation points"),
        (["--input-size", "100"], "--input-size must be a multiple of 32, got 100"),
        (["--preset", "paper", "--input-size", "64"], "must be a multiple of 128, got 64"),
        (["--network.backbone", "vgg"], "must be mobile, yolox-nano, hourglass or timm:NAME"),
        (["--fresh-heads", "pose"], "--fresh-heads must be of heatmap, rotation"),
        (["--pose", "direct", "--loss.positive-radius", "1"], "needs --loss.positive-radius 0"),
        (["--optim.warmup", "0.5"], "expected 0 <= warmup <= constant-until <= 1"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_training("", words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_the_rate_follows_a_cosine_between_its_ends() -> None:
    """A quarter and three quarters of the way: (1 + cos 45) / 2 and (1 - cos 45) / 2."""
    assert lr_factor(225 / 300, PAPER) == pytest.approx(0.853553, abs=1e-6)
    assert lr_factor(275 / 300, PAPER) == pytest.approx(0.146447, abs=1e-6)


def test_the_first_weights_are_soon_forgotten() -> None:
    """The mean's memory grows with the steps: 1/10 after none, 11/20 after ten, then 0.99."""
    for step, memory in ((0, 0.1), (10, 0.55), (10**6, 0.99)):
        network = nn.Linear(1, 1, bias=False)
        average = averaged_copy(network)
        nn.init.constant_(average.weight, 1.0)
        nn.init.constant_(network.weight, 0.0)
        update_average(average, network, 0.99, step)
        assert average.weight.item() == pytest.approx(memory)
    update_average(average, network, 0.0, 5)
    assert average.weight.item() == 0
