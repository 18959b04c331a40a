"""Turn a trained CCA checkpoint into a model bundle. The only package that needs torch."""
