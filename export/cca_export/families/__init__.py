"""Families of networks: what each has of its own (docs/guide/adding-a-family.md)."""
