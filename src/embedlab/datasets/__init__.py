"""Kedro datasets that no library has."""
