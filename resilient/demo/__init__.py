"""The main job on real input, in one terminal: ``resilient demo``."""
