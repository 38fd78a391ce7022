"""Pictures of a run as inline SVG: laid out in Python, drawn by the templates beside the modules.

Everything has its colour as an attribute, for pages without styles; classes change it for dark
and print. A picture shows only what was measured, and each has the same in words.
"""
