"""What the outside world calls: one module per edge function, and the WSGI shim that serves them."""
