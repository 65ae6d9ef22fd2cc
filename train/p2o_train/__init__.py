"""Training and evaluation: data, networks, targets, losses, the loop and its reports."""
