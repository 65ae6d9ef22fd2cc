from typing import TYPE_CHECKING

import pytest

from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

pytestmark = pytest.mark.convert


def test_rounded_weights_are_those_of_the_converter_and_pass_the_gradient() -> None:
    import torch

    from p2o_convert.qat import RoundWeights

    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    rounded = RoundWeights()(weight)
    step = weight.detach().abs().flatten(1).amax(1).view(-1, 1, 1, 1) / 127
    steps = (rounded / step).detach()
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert (rounded - weight).abs().max() <= step.max() * 0.51
    (rounded * 2).sum().backward()
    assert weight.grad is not None
    assert (weight.grad == 2).all()


def test_rounded_activations_cover_what_was_seen_and_clip_the_rest() -> None:
    import torch

    from p2o_convert.qat import RoundActivations

    rounder = RoundActivations()
    seen = torch.linspace(-1, 3, 50)
    assert (rounder(seen) == seen).all()
    rounder.measuring = False
    values = torch.tensor([-2.0, 0.0, 1.234, 5.0], requires_grad=True)
    rounded = rounder(values)
    # Zero is a step of its own, so the ends may be off by half a step.
    assert rounded.tolist() == pytest.approx([-1, 0, 1.234, 3], abs=2 / 255)
    assert rounded[1] == 0
    rounded.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 0]


def test_taking_the_rounding_out_leaves_the_network_as_it_was(
    network: "nn.Module", spec: ModelSpec
) -> None:
    import copy

    import torch

    from p2o_convert.qat import round_like_int8

    student = copy.deepcopy(network)
    image = torch.zeros(1, 3, spec.input_size, spec.input_size)
    rounded = round_like_int8(student)
    rounded.undo()
    state = student.state_dict()
    assert set(state) == set(network.state_dict())
    assert all((state[name] == value).all() for name, value in network.state_dict().items())
    with torch.no_grad():
        assert all((student(image)[n] == v).all() for n, v in network(image).items())


def test_fine_tuning_brings_the_rounded_network_closer_to_the_teacher(
    network: "nn.Module", spec: ModelSpec, images: ByteArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy

    import torch

    from p2o_convert import qat
    from p2o_convert.config import QuantiseConfig
    from p2o_train.network.build import normalise

    # With few steps there is much to win, so that a few steps of training show it.
    monkeypatch.setattr(qat, "WEIGHT_STEPS", 3)
    batch = normalise(torch.from_numpy(images[:4]), spec)

    def lost(candidate: "nn.Module") -> float:
        """Return the loss with all weights and activations rounded."""
        rounded = qat.round_like_int8(copy.deepcopy(candidate))
        with torch.no_grad():
            rounded.network(batch)
            for part in rounded.activations:
                part.measuring = False
            return float(qat.imitation_loss(rounded.network(batch), network(batch)))

    before = network.state_dict()["wide.weight"].clone()
    tuned = qat.fine_tune(
        network, images[:4], spec, QuantiseConfig(heads="dense", qat_steps=10, qat_lr=4e-3)
    )
    assert (network.state_dict()["wide.weight"] == before).all()
    assert lost(tuned) < 0.7 * lost(network)
    assert not any(parameter.requires_grad for parameter in tuned.parameters())
