"""The way through: plan, fetch, normalize, commit, as the operators and the command line both go it."""
