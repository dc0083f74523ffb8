"""How well models retrieve, and how isotropic their vectors are."""
