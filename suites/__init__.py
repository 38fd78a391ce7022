"""The claims: one module for each stage, one test for each claim, in the order of a run."""
