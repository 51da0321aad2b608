"""What a person or a machine starts: launcher, checks, the `roleta` command, simulator, benches."""
