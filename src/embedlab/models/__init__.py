"""Neural modules, one a file."""
