"""Forwarding: the lines of committed logs, sent to a SIEM and accounted for in the lake."""
