"""Training of small CCA models on a CPU or a GPU; `docs/guide/training.md` is its manual."""
