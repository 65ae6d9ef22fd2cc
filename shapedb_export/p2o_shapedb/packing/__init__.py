"""Shrink exemplars to the few triangles of the GLB pack."""
