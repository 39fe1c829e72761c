"""The networks: their shapes, layers and weights, in TensorFlow."""
