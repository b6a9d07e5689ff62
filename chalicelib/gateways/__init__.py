"""One port each to the world outside: queues, carriers, object stores, keys, clocks. Clients are made on first use."""
