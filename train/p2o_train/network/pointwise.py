"""Strided 1x1 convolutions of few channels, put so that torch does not crash on them.

On channels-last memory oneDNN gathers the cells that such a convolution reads in a buffer. For the
gradient of the weights it sizes the buffer by the input channels but writes whole vectors, of 16
channels (AVX-512) or 8 (AVX2): fewer channels, and it overwrites foreign memory. See
https://github.com/uxlfoundation/oneDNN/issues/6035.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from points2objects.errors import InputError

VECTOR = 16
"""Channels that oneDNN writes at once, at most."""


class StridedPointwise(nn.Conv2d):
    """A strided 1x1 convolution in two steps: drop the cells that it skips, then convolve.

    Args:
        conv: The convolution; this one computes the same with its weights, under the same names.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            kernel_size=1,
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.step = conv.stride

    def forward(self, input: Tensor) -> Tensor:
        """Return (b, out, ceil(h / step), ceil(w / step)) of (b, in, h, w)."""
        # A pool of one cell, not a slice: phones have an operator for it in every format.
        return super().forward(F.avg_pool2d(input, 1, self.step))


def split_narrow_strides(network: nn.Module, option: str) -> None:
    """Put a `StridedPointwise` in place of each strided 1x1 convolution of few channels.

    Args:
        network: Changed in place.
        option: Names the network in an error.

    Raises:
        InputError: One of them is of a kind that cannot be replaced.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and _is_narrow_strided(module):
            if not _is_plain(module):
                raise InputError(
                    f"{option}: {name} is a {type(module).__name__} of {module.in_channels} "
                    f"channels, kernel 1, stride {max(module.stride)}; torch crashes when it "
                    f"trains one of fewer than {VECTOR}; choose a wider network"
                )
            network.set_submodule(name, StridedPointwise(module))


def _is_narrow_strided(conv: nn.Conv2d) -> bool:
    return (
        set(conv.kernel_size) == {1}
        and max(conv.stride) > 1
        and conv.in_channels // conv.groups < VECTOR
    )


def _is_plain(conv: nn.Conv2d) -> bool:
    """Tell whether the layer only convolves; other kinds change their weights or input first."""
    # timm's padding as in TensorFlow adds nothing to one cell.
    plain = type(conv) is nn.Conv2d or type(conv).__name__ == "Conv2dSame"
    return plain and conv.padding == (0, 0)
