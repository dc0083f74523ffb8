"""embedlab: encode once, experiment many times."""

__version__ = "0.1.0"
