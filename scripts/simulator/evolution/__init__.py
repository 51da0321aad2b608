"""Evolution API v2 as a real HTTP server, in a process of its own (evolution contract 11).

Memory (`Channel`) and database (`Row`) are kept apart as in the real one: they may say different things.
"""
