"""How much of what is drawn at random, or made large, tests try: more of it in the long form (``make test LONG=1``)."""

from __future__ import annotations

import os

LONG = "IMPERVA_EXAMPLES" in os.environ

EXAMPLES = 100 if LONG else 30
"""How many examples a property is tried with, unless it says otherwise."""

TIMES_AS_LARGE = 3 if LONG else 1
"""Texts on which quadratic work would take hours in the long form take minutes in the short one, which is enough to
notice."""
