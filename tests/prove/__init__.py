"""Tests of the proof: that a broken living mesh is noticed, mended, and mended after a kill."""
