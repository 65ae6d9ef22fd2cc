"""The same view with fewer pixels, for networks with a smaller input."""

from dataclasses import replace

import numpy as np

from p2o_train.data.sample import Sample


def at_size(sample: Sample, size_px: int) -> Sample:
    """Return a sample whose square picture has the given side, px; the label stays as it is."""
    if sample.camera.width == sample.camera.height == size_px:
        return sample
    import cv2

    factor = np.array([size_px / sample.camera.width, size_px / sample.camera.height, 1.0])
    camera = replace(
        sample.camera, K=factor[:, None] * sample.camera.K, width=size_px, height=size_px
    )
    smaller = size_px < sample.camera.width
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    image = cv2.resize(sample.image, (size_px, size_px), interpolation=how)
    return replace(sample, image=np.asarray(image, dtype=np.uint8), camera=camera)
