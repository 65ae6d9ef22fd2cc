"""What a prediction is scored by: boxes, shapes, errors of pairs and collisions."""
