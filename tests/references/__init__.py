"""Independent implementations, from the specification pages: what the core is compared with."""
