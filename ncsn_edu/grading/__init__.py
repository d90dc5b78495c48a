"""Assignments that grade themselves: the checks of their test cells, and the machinery that runs and grades them.

tasks.py is what test cells are written with, and needs nothing else. The rest is for teachers, stands on nbgrader,
and is not imported with the package. This file does NOT hold any code.
"""
