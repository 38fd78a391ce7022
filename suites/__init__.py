"""What is claimed: one module a stage, in the order of the state, one test a claim."""
