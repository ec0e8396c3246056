# cython: freethreading_compatible=True
"""placeholder"""
