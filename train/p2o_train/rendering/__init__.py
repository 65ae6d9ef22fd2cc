"""Synthetic scenes: what stands where, what it looks like, and the rasteriser that draws it."""
