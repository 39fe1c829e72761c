"""A picture rendered by optimisation (Gatys et al.), and renders in a queue."""
