"""Confidence intervals, tests and summaries of samples."""
