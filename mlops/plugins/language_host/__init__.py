"""Run Python programs for the Pulumi engine: what `pulumi-language-python` does, where that binary cannot be had."""
