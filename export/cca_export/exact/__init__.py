"""The exact prior: the same integers on every engine, in ordinary float graphs (docs/exact.md)."""
