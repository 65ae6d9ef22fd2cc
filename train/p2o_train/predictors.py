"""One call, image in and output maps out, for whatever runs the network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from points2objects.bundle import MANIFEST, MOST_MODEL_BYTES, Bundle
from points2objects.errors import InputError
from points2objects.files import read_file
from points2objects.geometry import ByteArray
from points2objects.interpreter import Interpreter
from points2objects.metadata import SPEC_METADATA, read_metadata
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap, OutputMaps
from points2objects.trial import try_model

if TYPE_CHECKING:
    from torch import nn

Predictor = Callable[[ByteArray], OutputMaps]
"""Maps a canonical image, (256, 256, 3) RGB, to the maps that `ModelSpec.outputs` names."""


@dataclass(frozen=True)
class SpecifiedPredictor:
    """A network that runs, with its contract."""

    predict: Predictor
    spec: ModelSpec


def torch_predictor(network: "nn.Module", spec: ModelSpec) -> Predictor:
    """Run a torch network, image by image, on the device its parameters are on.

    The network is used as it is: call `eval()` first.

    Args:
        network: (b, 3, s, s) normalised -> name -> (b, c, h, w); its heat-map holds logits.
        spec: The network's contract.
    """
    import torch

    device = next(network.parameters()).device
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)

    def predict(image: ByteArray) -> OutputMaps:
        batch = ((image.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None]
        with torch.inference_mode():
            outputs = network(torch.from_numpy(np.ascontiguousarray(batch)).to(device))
            outputs = {**outputs, "heatmap": torch.sigmoid(outputs["heatmap"])}
            return {
                name: OutputMap(outputs[name][0].permute(1, 2, 0).float().cpu().numpy())
                for name in spec.outputs
            }

    return predict


def tflite_predictor(model: Path | bytes, spec: ModelSpec, threads: int = 2) -> Predictor:
    """Run a TFLite file or its bytes, float or quantised, with the runtime's own interpreter."""
    return Interpreter(model, spec, threads).run


def bundle_predictor(bundle: Bundle, threads: int = 2) -> Predictor:
    """Run the network of a bundle."""
    return tflite_predictor(bundle.model, bundle.spec, threads)


def load_predictor(path: Path, threads: int = 2) -> SpecifiedPredictor:
    """Load whatever the path holds: a training run, a bundle, or a .tflite that carries its spec.

    Raises:
        InputError: It is none of them.
        BundleError: It is one, but damaged or incomplete, or its model failed its trial.
    """
    if (path / MANIFEST).is_file():
        bundle = Bundle.load(path)
        return SpecifiedPredictor(bundle_predictor(bundle, threads), bundle.spec)
    if path.is_dir():
        from p2o_train.checkpoint import load_network

        run = load_network(path)
        return SpecifiedPredictor(torch_predictor(run.network, run.spec), run.spec)
    if not path.is_file() or path.suffix != ".tflite":
        raise InputError(
            f"{path}: expected a folder of train/run.py or convert/to_tflite.py, or a .tflite file"
        )
    model = read_file(path, MOST_MODEL_BYTES)
    text = read_metadata(model, SPEC_METADATA)
    if text is None:
        raise InputError(
            f"{path}: carries no spec ({SPEC_METADATA}); pass the bundle it belongs to instead"
        )
    spec = ModelSpec.from_json(text.decode("utf-8", "replace"))
    try_model(model, spec)
    return SpecifiedPredictor(tflite_predictor(model, spec, threads), spec)
