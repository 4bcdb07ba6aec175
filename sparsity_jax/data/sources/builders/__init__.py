"""TFDS builders of the paper's data sets that prepare without TensorFlow."""
