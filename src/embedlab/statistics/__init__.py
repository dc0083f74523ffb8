"""Intervals, tests and summaries of samples."""
