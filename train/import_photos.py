"""Photographs labelled by another tool (COCO, YOLO, Pascal VOC) -> photographs to train on."""

import sys
from collections import Counter

from p2o_shapedb.command import parse, run_command
from p2o_train.data.photo_import_config import ImportPhotosConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(ImportPhotosConfig, __doc__ or "")

    def body() -> None:
        from p2o_train.data.photo_importing import import_photos

        made = import_photos(config)
        unknown = sorted(made.unknown.items(), key=lambda item: -item[1])
        left_out = {
            "pictures that show the same as another": made.repeated,
            "pictures that are not there": made.missing,
            "pictures of another size than their label says": made.resized,
            "boxes outside their picture": made.lost_boxes,
            "boxes of other classes": sum(made.unknown.values()),
        }
        for what, count in left_out.items():
            if count:
                print(f"left out {count} {what}")
        if unknown:
            print("other classes: " + ", ".join(f"{name} {count}" for name, count in unknown[:12]))
        photos = made.labels.photos
        split = Counter(photo.split for photo in photos)
        boxes = Counter(item.class_name for photo in photos for item in photo.objects)
        print("boxes: " + ", ".join(f"{count} {name}" for name, count in sorted(boxes.items())))
        print(
            f"wrote {config.out} ({split['train']} photographs to train on, {split['val']} held "
            f"out); next: python train/run.py --photos {config.out}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
