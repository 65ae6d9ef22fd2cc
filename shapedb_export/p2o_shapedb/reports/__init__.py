"""What a build tells people: tables, contact sheets, plots, the oracle."""
