"""Measurements beside what the same server allows at best: `make bench`."""
