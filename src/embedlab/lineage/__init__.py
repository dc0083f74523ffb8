"""What every artifact was made from, and whether the present parameters and code still make it."""
