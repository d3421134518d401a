"""No deadline for one example of a property: on a busy machine it would tell of the machine."""

from hypothesis import settings

settings.register_profile("events", deadline=None)
settings.load_profile("events")
