"""Events told to other programs: what they are, how they are signed, and how they get there."""
