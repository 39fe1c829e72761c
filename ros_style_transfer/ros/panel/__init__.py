"""A window that shows what the node sees and paints, and changes how it paints."""
