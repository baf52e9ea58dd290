"""The parts of the client that wait for a server. Of the two flavours one is made from the other: `generate.py`."""
