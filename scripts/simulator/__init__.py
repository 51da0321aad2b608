"""Z-API as a real HTTP server for development and tests, in a process of its own (zapi contract 8).

Every acceptance is on disk before it is answered: that log, not our own tables, is what tests judge by.
"""
