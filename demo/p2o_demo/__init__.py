"""p2o_demo."""
