"""Frames in, frames out: whole scenarios on memory ports and a clock moved by hand; no root, no kernel."""
