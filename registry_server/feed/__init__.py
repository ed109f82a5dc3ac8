"""The live directory: what changes, told to everybody who listens, at once.

``ring`` remembers the last changes, ``reader`` is one listener's place in them, ``hub`` wakes the listeners,
``route`` is the way in over HTTP. ``watch`` knows whether somebody looks at circuits, ``actions`` what people
asked circuits to do.
"""
