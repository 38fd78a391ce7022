"""What is claimed: one module a stage, in the order of the walk, one test a claim."""
