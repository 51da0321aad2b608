"""The soak: real workers, killed and deceived, judged by the provider's own book. The crash tests use its
parts."""
