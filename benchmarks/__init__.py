"""What a call costs, measured beside others in one process. ``python -m benchmarks --help``"""
