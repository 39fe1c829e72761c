"""Training the weights that the package ships.  Needs Keras 3; nothing at run time imports this."""
