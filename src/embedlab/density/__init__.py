"""How rare a text is among others: weights, sampling by them, and a reward model that uses them."""
