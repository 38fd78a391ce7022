"""Tests of the proof: a mesh broken on purpose is noticed and reverted, after a kill, too."""
