"""Labelled pictures: making, storing, reading and varying them."""
