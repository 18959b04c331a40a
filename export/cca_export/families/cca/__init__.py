"""CCA (NeurIPS 2024): the network, its architecture from a checkpoint's shapes, and the cut."""
