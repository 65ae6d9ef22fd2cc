"""The demo: frames from a camera, files or a recording; overlays and scenes out of the model."""
