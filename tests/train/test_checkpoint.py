"""Run folders that are not whole are refused in one clear line."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from p2o_train.checkpoint import (
    TrainingState,
    load_network,
    load_state,
    resume,
    save_best,
    save_checkpoint,
    start_from,
    start_run,
)
from p2o_train.config import NetworkConfig, TrainConfig
from p2o_train.ema import averaged_copy
from p2o_train.network.build import build_network
from p2o_train.options import parse_training
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

ROOT = Path(__file__).parents[2]
SPEC = ModelSpec("test", ("a",), 2, "digest")
DATA = {"train": {"images": 3, "sha256": "abc"}, "augment": {"border_rgb": (1.0, 2.0, 3.0)}}


def fresh_state(network: NetworkConfig) -> TrainingState:
    made = build_network(network, SPEC)
    return TrainingState(made, averaged_copy(made), torch.optim.AdamW(made.parameters()))


@pytest.fixture
def run(tmp_path: Path, tiny_network: NetworkConfig) -> Path:
    state = fresh_state(tiny_network)
    start_run(tmp_path, TrainConfig(out=tmp_path, network=tiny_network), SPEC, DATA)
    save_checkpoint(tmp_path, state)
    torch.nn.init.ones_(next(state.average.parameters()))
    save_best(tmp_path, state)
    return tmp_path


def test_a_renamed_run_goes_on(run: Path, tiny_network: NetworkConfig) -> None:
    moved = run.rename(run.with_name("moved"))
    config = TrainConfig(out=moved, network=tiny_network)
    assert resume(moved, fresh_state(tiny_network), config, replace(SPEC, name="moved"), DATA)
    with pytest.raises(InputError, match=r"other options \(another shape database\)"):
        resume(
            moved, fresh_state(tiny_network), config, replace(SPEC, shapedb_digest="other"), DATA
        )


def test_a_run_does_not_go_on_with_other_data(run: Path, tiny_network: NetworkConfig) -> None:
    config = TrainConfig(out=run, network=tiny_network)
    with pytest.raises(InputError, match=r"another dataset or augmentation \(data.json differs\)"):
        resume(run, fresh_state(tiny_network), config, SPEC, {**DATA, "augment": None})


@pytest.mark.parametrize("name", ["best.pt", "metrics.jsonl"])
def test_results_without_a_checkpoint_are_kept(
    tmp_path: Path, name: str, tiny_network: NetworkConfig
) -> None:
    config = TrainConfig(out=tmp_path, network=tiny_network)
    (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match=rf"holds {name} of an earlier run, .*--overwrite"):
        start_run(tmp_path, config, SPEC, DATA)
    assert (tmp_path / name).read_text() == "precious"
    assert not (tmp_path / "config.json").exists()
    start_run(tmp_path, replace(config, overwrite=True), SPEC, DATA)
    assert not (tmp_path / name).exists()


def test_a_run_that_stopped_before_its_first_step_starts_again(
    tmp_path: Path, tiny_network: NetworkConfig
) -> None:
    (tmp_path / "metrics.jsonl").touch()
    start_run(tmp_path, TrainConfig(out=tmp_path, network=tiny_network), SPEC, DATA)
    assert (tmp_path / "spec.json").is_file()


def test_best_weights_come_first_and_the_last_average_without_them(run: Path) -> None:
    assert (next(load_network(run).network.parameters()) == 1).all()
    (run / "best.pt").unlink()
    assert not (next(load_network(run).network.parameters()) == 1).all()


def test_a_loaded_network_gives_the_same_maps(run: Path) -> None:
    first, second = load_network(run).network, load_network(run).network
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for name, value in first(image).items():
            assert torch.equal(value, second(image)[name])


@pytest.mark.parametrize("name", ["config.json", "spec.json"])
def test_a_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"expected a folder of train/run.py, but {name} is"):
        load_network(run)


def test_a_folder_without_weights_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder of train/run.py"):
        load_network(tmp_path)


def test_a_broken_checkpoint_is_refused(run: Path) -> None:
    (run / "best.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"best.pt: not a readable checkpoint"):
        load_network(run)


def test_weights_of_another_network_are_refused(run: Path) -> None:
    other = TrainConfig(network=NetworkConfig(pretrained=False))
    (run / "config.json").write_text(other.to_json())
    with pytest.raises(InputError, match=r"do not fit config.json"):
        load_network(run)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"network": {"colour": 1}}'])
def test_a_broken_config_is_refused(run: Path, text: str) -> None:
    (run / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config.json: not a training config"):
        load_network(run)


def test_config_survives_json(tiny_network: NetworkConfig) -> None:
    config = TrainConfig(out=Path("x"), steps=3, network=tiny_network)
    assert TrainConfig.from_json(config.to_json()) == config


def test_a_config_from_before_the_formulations_means_the_same() -> None:
    """The run behind an earlier default bundle was started before --rotation."""
    text = (Path(__file__).parent / "config_before_rotation.json").read_text()
    earlier = TrainConfig.from_json(text)
    words = ["--init", "runs/third", "--minutes", "64", "--validate-every", "4"]
    words += ["--loss.offset", "1", "--loss.distance", "2"]
    assert parse_training("", words).same_training(earlier)
    without = [*words, "--loss.settled", "0"]
    assert not parse_training("", without).same_training(earlier)
    values = json.loads(text)
    assert "rotation" not in values
    del values["loss"]["settled"]
    assert parse_training("", without).same_training(TrainConfig.from_json(json.dumps(values)))
    values["loss"]["point_form"] = "joint"
    assert TrainConfig.from_json(json.dumps(values)).rotation == "points"


def test_the_shipped_checkpoint_can_be_fine_tuned() -> None:
    shipped = load_network(ROOT / "train/checkpoints/default")
    network = build_network(replace(shipped.config.network, pretrained=False), shipped.spec)
    assert start_from(network, ROOT / "train/checkpoints/default") == []


def test_fine_tuning_takes_over_what_fits(run: Path, tiny_network: NetworkConfig) -> None:
    """Another shape database changes the exemplar head alone."""
    earlier = load_network(run).network.state_dict()
    network = build_network(tiny_network, replace(SPEC, exemplars_per_class=3))
    new = start_from(network, run)
    assert new == ["heads.heads.exemplar.out.weight", "heads.heads.exemplar.out.bias"]
    for name, value in network.state_dict().items():
        if name not in new:
            torch.testing.assert_close(value, earlier[name], rtol=0, atol=0)


def test_own_classes_change_what_names_them_alone(run: Path, tiny_network: NetworkConfig) -> None:
    own = replace(SPEC, classes=("lamp", "plant", "desk"), exemplars_per_class=4)
    network = build_network(tiny_network, own)
    new = {name.rsplit(".", 2)[0] for name in start_from(network, run)}
    assert new == {"heads.heads.heatmap", "heads.heads.exemplar"}


def test_heads_that_are_to_start_anew_do(run: Path, tiny_network: NetworkConfig) -> None:
    network = build_network(tiny_network, SPEC)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    new = start_from(network, run, ("rotation", "scale"))
    assert {name.split(".")[2] for name in new} == {"rotation", "scale"}
    for name in new:
        assert torch.equal(network.state_dict()[name], before[name])


def test_weights_of_another_kind_of_network_are_refused(run: Path) -> None:
    other = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"--init .*: none of its weights fits this network"):
        start_from(other, run)


def _packed(path: Path) -> None:
    """Pack the weights, 2 GB of zeros among them, into a small zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"x")
        with archive.open("archive/data/0", "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(1 << 20))


def _unfit(path: Path) -> None:
    torch.save({"network": {"a": torch.ones(2)}, "step": 1}, path)


def _nothing(path: Path) -> None:
    torch.save([1, 2], path)


def _other_type(path: Path) -> None:
    torch.save({"network": 5}, path)


def _not_finite(path: Path) -> None:
    weights = load_network(path.parent).network.state_dict()
    next(iter(weights.values())).fill_(float("nan"))
    torch.save({"network": weights}, path)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_packed, "not a readable checkpoint"),
        (_nothing, "not a readable checkpoint"),
        (_other_type, "not a readable checkpoint"),
        (_unfit, "do not fit config.json"),
        (_not_finite, "no finite numbers"),
    ],
)
def test_hostile_weights_are_refused(run: Path, write: Callable[[Path], None], words: str) -> None:
    write(run / "best.pt")
    with pytest.raises(InputError, match=words):
        load_network(run)


def test_a_checkpoint_of_another_network_is_refused(run: Path, tiny_network: NetworkConfig) -> None:
    state = fresh_state(tiny_network)
    values = torch.load(run / "checkpoint.pt", weights_only=True)
    values["optimizer"] = {"state": {}}
    torch.save(values, run / "checkpoint.pt")
    with pytest.raises(InputError, match=r"does not fit config\.json"):
        load_state(run, state)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[" * 100_000, b"[1]", b"{}", b" " * (2 << 20)])
@pytest.mark.parametrize("name", ["config.json", "spec.json"])
def test_hostile_records_of_a_run_are_refused(run: Path, name: str, text: bytes) -> None:
    (run / name).write_bytes(text)
    with pytest.raises(InputError):
        load_network(run)
