"""An LLM judge with a written rubric: marks, preferences in both orders, and their calibration."""
