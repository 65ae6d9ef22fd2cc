"""Detectors of other people as functions of a picture: what they want to see, how they answer.

Each takes a picture, (h, w, 3) RGB, and says for a few thousand places which classes are there.
The networks themselves see it in OpenCV's order, blue first, but for the SSD.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.geometry import ByteArray, FloatArray


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


COCO = _names("""
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
vase, scissors, teddy bear, hair drier, toothbrush
""")
"""The 80 classes of COCO's boxes, in the order of their numbers."""

OPEN_IMAGES = _names("""
???, Bicycle, Boot, Laptop, Person, Chair, Cattle, Desk, Cat, Computer mouse, Computer monitor,
Box, Mug, Coffee cup, Stationary bicycle, Table, Bottle, High heels, Vehicle, Footwear, Dog,
Book, Camera, Car
""")

_MEAN_BGR, _STD_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


@dataclass(frozen=True, eq=False)
class Places:
    """What a detector says of p places.

    Attributes:
        boxes: Left, top, right, bottom, px of the picture, (p, 4).
        score: (p, classes of the detector), 0..1.
    """

    boxes: FloatArray
    score: FloatArray


@dataclass(frozen=True, eq=False)
class _Square:
    """A picture shrunk into a square, (n, n, 3) BGR: pixel = picture's * factor + offset."""

    image: ByteArray
    factor: float
    offset: FloatArray

    def back(self, boxes: FloatArray) -> FloatArray:
        return np.asarray((boxes - np.tile(self.offset, 2)) / self.factor)


def _square(image: ByteArray, side: int, fill: int, centred: bool) -> _Square:
    import cv2

    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    left, top = ((side - size[0]) // 2, (side - size[1]) // 2) if centred else (0, 0)
    square = np.full((side, side, 3), fill, dtype=np.uint8)
    square[top : top + size[1], left : left + size[0]] = cv2.resize(
        image[:, :, ::-1], size, interpolation=how
    )
    return _Square(square, factor, np.array([left, top], dtype=float))


def _onnx(path: Path) -> tuple[Callable[[npt.NDArray[Any]], list[FloatArray]], int]:
    """Return an ONNX file as a function of (1, 3, n, n), and n."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]

    def run(batch: npt.NDArray[Any]) -> list[FloatArray]:
        raw: Any = session.run(None, {entry.name: batch.astype(np.float32)})
        return [np.asarray(each) for each in raw]

    return run, int(entry.shape[2])


def _grid(side: int, stride: int) -> FloatArray:
    """Return column and row of each cell, row by row, (cells, 2)."""
    line = np.arange(-(-side // stride))
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(float)


def _yolox(path: Path) -> Callable[[ByteArray], Places]:
    run, side = _onnx(path)
    strides = [(stride, _grid(side, stride)) for stride in (8, 16, 32)]
    step = np.concatenate([np.full((len(grid), 1), float(stride)) for stride, grid in strides])
    cells = np.concatenate([grid for _, grid in strides])

    def places(image: ByteArray) -> Places:
        square = _square(image, side, 114, centred=False)
        raw = run(square.image.transpose(2, 0, 1)[None])[0][0]
        middle, half = (raw[:, :2] + cells) * step, np.exp(raw[:, 2:4]) * step / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        return Places(square.back(boxes), raw[:, 4:5] * raw[:, 5:])

    return places


def _spread(raw: FloatArray) -> FloatArray:
    """Return the expected distance to each side, cells, of its distribution, (p, 4 b) -> (p, 4)."""
    each = raw.reshape(len(raw), 4, -1)
    share = np.exp(each - each.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return np.asarray(share @ np.arange(each.shape[-1]))


def _distances(
    score: Sequence[FloatArray], raw: Sequence[FloatArray], side: int, in_cell: float
) -> Places:
    """Read boxes given as distances from the middles of the cells of strides 8, 16, 32 and 64."""
    boxes = []
    for level, each in enumerate(raw):
        stride = 8 << level
        middle = _grid(side, stride) * stride + in_cell * (stride - 1)
        reach = _spread(each) * stride
        boxes.append(np.concatenate([middle - reach[:, :2], middle + reach[:, 2:]], axis=1))
    return Places(np.concatenate(boxes), np.concatenate(score))


def _picodet(path: Path) -> Callable[[ByteArray], Places]:
    run, side = _onnx(path)

    def places(image: ByteArray) -> Places:
        square = _square(image, side, 0, centred=True)
        pixels = (square.image - np.array(_MEAN_BGR)) / np.array(_STD_BGR)
        raw = [each.reshape(-1, each.shape[-1]) for each in run(pixels.transpose(2, 0, 1)[None])]
        said = _distances(raw[: len(raw) // 2], raw[len(raw) // 2 :], side, in_cell=0.5)
        return Places(square.back(said.boxes), said.score)

    return places


def _nanodet_plus(path: Path) -> Callable[[ByteArray], Places]:
    ncnn = import_module("ncnn")
    side, n_classes = 416, len(COCO)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(path.with_suffix(".param")))
    net.load_model(str(path))
    cells = np.cumsum([len(_grid(side, 8 << level)) for level in range(4)])[:-1]

    def places(image: ByteArray) -> Places:
        square = _square(image, side, 0, centred=True)
        pixels = (square.image - np.array(_MEAN_BGR)) / np.array(_STD_BGR)
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(planes))
        raw: Any = np.array(extractor.extract("output")[1])
        levels = np.split(raw, cells)
        said = _distances(
            [level[:, :n_classes] for level in levels],
            [level[:, n_classes:] for level in levels],
            side,
            in_cell=0.0,
        )
        return Places(square.back(said.boxes), said.score)

    return places


def _ssd(path: Path) -> Callable[[ByteArray], Places]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    outputs = {
        detail["name"].split("/")[-1]: detail["index"]
        for detail in interpreter.get_output_details()
    }
    anchors = _ssd_anchors()

    def places(image: ByteArray) -> Places:
        import cv2

        small = cv2.resize(image, (300, 300), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(entry, small.astype(np.float32)[None] / 127.5 - 1)
        interpreter.invoke()
        # Row first, as TensorFlow's box coder has it, with its scales of 10 and 5.
        raw = interpreter.get_tensor(outputs["box_encodings"])[0][:, [1, 0, 3, 2]]
        logits = interpreter.get_tensor(outputs["class_predictions"])[0]
        score = 1 / (1 + np.exp(-logits))
        score[:, 0] = 0.0
        middle = anchors[:, :2] + raw[:, :2] / 10 * anchors[:, 2:]
        half = np.exp(raw[:, 2:] / 5) * anchors[:, 2:] / 2
        size = np.tile([image.shape[1], image.shape[0]], 2)
        return Places(np.concatenate([middle - half, middle + half], axis=1) * size, score)

    return places


def _ssd_anchors() -> FloatArray:
    """Return middle, width and height of each anchor, shares of the picture, (a, 4)."""
    scales = [*np.linspace(0.2, 0.95, 6).tolist(), 1.0]
    anchors: list[tuple[float, float, float, float]] = []
    for level, stride in enumerate((16, 32, 64, 128, 256, 512)):
        side, scale = -(-300 // stride), scales[level]
        ratios = (1.0, 2.0, 0.5) if level == 0 else (1.0, 2.0, 0.5, 3.0, 0.3333)
        sizes = [(scale * ratio**0.5, scale / ratio**0.5) for ratio in ratios]
        if level == 0:
            sizes[0] = (0.1, 0.1)
        else:
            sizes.append(((scale * scales[level + 1]) ** 0.5,) * 2)
        for column, row in _grid(300, stride):
            anchors += [((column + 0.5) / side, (row + 0.5) / side, w, h) for w, h in sizes]
    return np.array(anchors)


_Maker = Callable[[Path], Callable[[ByteArray], Places]]

MAKERS: Mapping[str, tuple[str, _Maker, Sequence[str]]] = {
    "yolox_nano": ("yolox_nano.onnx", _yolox, COCO),
    "picodet_s_416": ("picodet_s_416.onnx", _picodet, COCO),
    "nanodet_plus_m": ("nanodet-plus-m_416.bin", _nanodet_plus, COCO),
    "ssd_oidv4": ("ssd_oidv4.tflite", _ssd, OPEN_IMAGES),
}
"""File, how to load it, and its classes."""
