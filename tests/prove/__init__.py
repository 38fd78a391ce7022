"""Tests of `--prove`: a broken live mesh is noticed, reverted, and reverted after a kill."""
