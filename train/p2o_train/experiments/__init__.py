"""The paper's tables 1 to 5 on one's own data, one command each."""
