"""Measured facts about a quantized network, figures of them, and one self-contained HTML page."""
