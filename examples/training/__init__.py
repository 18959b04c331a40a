"""Training of small CCA models on a CPU or a GPU; `docs/training.md` is its manual."""
