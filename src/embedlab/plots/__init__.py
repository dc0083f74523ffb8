"""Figures made from plain arrays and tables."""
