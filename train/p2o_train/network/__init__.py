"""The networks: the phone's and the paper's body, the output heads, and their assembly."""
