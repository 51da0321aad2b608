"""`roleta bench`: what the pool, the queue, the pace and the gateway can do on this machine, in figures."""
