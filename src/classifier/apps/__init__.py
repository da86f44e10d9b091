"""Programs for people: the command line, the page, the comparison of runs."""
