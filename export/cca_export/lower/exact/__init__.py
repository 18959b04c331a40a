"""The exact prior: the same integers on every engine, in float graphs (docs/spec/exact.md)."""
