"""Long rigs, each a module that is run by hand as `python -m tests.soak.<name>`; pytest collects none of them."""
