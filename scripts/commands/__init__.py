"""The commands of `roleta`, a module each; what several share is in surroundings.py and tables.py."""
