"""Give the int8 model of an older bundle uint8 input and float32 outputs, nothing else changed."""

import sys

from p2o_convert.config import RenewConfig
from p2o_shapedb.command import parse, refuse_existing, run_command


def main(config: RenewConfig) -> None:
    """Renew the ends and say that nothing between them changed."""
    refuse_existing(config.out, config.overwrite)

    from p2o_convert.renew import renew

    ends = renew(config)
    print(
        f"wrote {config.out} ({ends}); all outputs are the same to the last bit; "
        f"next: python demo/camera.py --bundle {config.out}"
    )


if __name__ == "__main__":
    options = parse(RenewConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
