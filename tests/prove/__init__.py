"""Tests of the proof: that a broken living mesh is noticed, reverted, and reverted after a kill."""
