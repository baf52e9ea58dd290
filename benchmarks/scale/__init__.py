"""`make bench-scale`: an installation of many pairs under full load (docs/reference/performance.md, "At scale")."""
