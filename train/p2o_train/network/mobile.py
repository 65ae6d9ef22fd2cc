"""The phone's network: EfficientNet-Lite0, a light decoder to stride 4, separable heads."""

from p2o_train.config import NetworkConfig
from p2o_train.network.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from p2o_train.network.pyramid import PyramidBody


class MobileBody(PyramidBody):
    """EfficientNet-Lite0 with the decoder: ReLU6, no squeeze-excite, resize and convolution."""

    def __init__(self, config: NetworkConfig) -> None:
        backbone = EfficientNetLite0(config.freeze_stages, config.freeze_norm)
        if config.pretrained:
            load_imagenet_weights(backbone)
        super().__init__(backbone, backbone.channels, config.decoder_channels)
