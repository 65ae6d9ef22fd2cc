"""One call, image in and output maps out, for whatever runs the network."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap, OutputMaps

if TYPE_CHECKING:
    from torch import nn

Predictor = Callable[[ByteArray], OutputMaps]
"""Maps a canonical image, (256, 256, 3) RGB, to the maps that `ModelSpec.outputs` names."""


def torch_predictor(network: "nn.Module", spec: ModelSpec) -> Predictor:
    """Run a torch network, image by image, on the device its parameters are on.

    The network is used as it is: call `eval()` first.

    Args:
        network: (b, 3, s, s) normalised -> name -> (b, c, h, w); its heat-map holds logits.
        spec: The network's contract.
    """
    import torch

    device = next(network.parameters()).device
    mean, std = np.float32(spec.mean), np.float32(spec.std)

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


def tflite_predictor(path: Path, spec: ModelSpec, threads: int = 2) -> Predictor:
    """Run a TFLite file, float or quantised, with the runtime's own interpreter."""
    from points2objects.interpreter import Interpreter

    return Interpreter(path, spec, threads).run
