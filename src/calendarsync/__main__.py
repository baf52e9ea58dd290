"""`python -m calendarsync`."""

from calendarsync.cli import main

if __name__ == "__main__":
    main()
