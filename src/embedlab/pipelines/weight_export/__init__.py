"""The pre-trained encoder's vectors as the weights of a hierarchical decoder."""
