"""Computing in several processes."""
