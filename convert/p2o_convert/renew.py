"""An older bundle with the ends that every reader takes: same weights, same numbers."""

import json
import shutil
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from p2o_convert.card import with_format
from p2o_convert.config import RenewConfig
from p2o_convert.delegates import readiness
from p2o_convert.ends import describe_ends, largest_differences, portable_ends, read_ends
from p2o_convert.errors import ConversionError
from p2o_convert.flatbuffer import operators
from p2o_convert.report import ConversionReport, write_report
from p2o_shapedb.command import atomic_path
from points2objects.bundle import CARD, EXEMPLARS, MANIFEST, Bundle, write_bundle
from points2objects.errors import InputError
from points2objects.geometry import ByteArray

FORMAT = "int8"


def renew(config: RenewConfig) -> str:
    """Write the bundle again, and return what goes into its model and what comes out.

    Raises:
        InputError: Its model has no int8 ends, or the bundle says nothing of its conversion.
        BundleError: The bundle is damaged.
        ConversionError: An output changed; nothing is written then.
    """
    bundle = Bundle.load(config.bundle)
    spec, old = bundle.spec, bundle.model
    report, card = _report(config, bundle), _card(config)
    ends = read_ends(old)
    if "int8" not in {ends.takes, *ends.gives.values()}:
        raise InputError(
            f"{config.bundle}: its model takes {ends.takes} and gives "
            f"{' and '.join(sorted(set(ends.gives.values())))}, so there are no int8 ends to "
            "renew; use it as it is"
        )
    new = portable_ends(old)
    apart = largest_differences(old, new, _images(spec.input_size), spec)
    changed = [name for name, value in apart.items() if value != 0]
    if changed:
        raise ConversionError(
            f"{config.bundle}: with new ends {changed[0]!r} differs by {apart[changed[0]]:.3g}; "
            "convert the run again"
        )
    said = describe_ends(new, spec)
    renewed = replace(
        report,
        sizes={**report.sizes, FORMAT: len(new)},
        operators={**report.operators, FORMAT: operators(new)},
        ends={**report.ends, FORMAT: said},
        delegates={**report.delegates, FORMAT: readiness(new)},
    )
    extra = {**bundle.extra, "conversion": json.loads(renewed.to_json())}
    with atomic_path(config.out, config.overwrite) as folder:
        write_bundle(
            folder, spec, new, config.bundle / EXEMPLARS, with_format(card, renewed), extra
        )
        write_report(renewed, folder)
        for path in config.bundle.iterdir():
            if path.is_file() and not (folder / path.name).exists():
                shutil.copy2(path, folder)
    return said


def _report(config: RenewConfig, bundle: Bundle) -> ConversionReport:
    """Return the report of the bundle's conversion.

    Raises:
        InputError: There is none, or it ships another format.
    """
    if "conversion" not in bundle.extra:
        raise InputError(f"{config.bundle}: says nothing of its conversion; convert the run again")
    try:
        report = ConversionReport.from_json(json.dumps(bundle.extra["conversion"]))
    except InputError as error:
        raise InputError(f"{config.bundle / MANIFEST}: {error}") from error
    if report.shipped != FORMAT:
        raise InputError(
            f"{config.bundle}: ships {report.shipped}, and only the ends of {FORMAT} are renewed; "
            f"convert the run again with --ship {FORMAT}"
        )
    return report


def _card(config: RenewConfig) -> str:
    """Return the model card.

    Raises:
        InputError: There is none that can be read.
    """
    path = config.bundle / CARD
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no readable text ({error}); copy the bundle again") from error


def _images(side: int) -> npt.NDArray[np.uint8]:
    """Make pictures with every byte in every channel: smooth, noisy, and blocks between."""
    rng = np.random.default_rng(0)
    pictures: list[ByteArray] = []
    for block in (1, 4, 16, 64):
        cells = -(-side // block)
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        pictures.append(coarse.repeat(block, 0).repeat(block, 1)[:side, :side])
    return np.stack(pictures)
