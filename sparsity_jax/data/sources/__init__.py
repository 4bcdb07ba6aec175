"""Where pictures come from: folders, official archives, sets prepared by TFDS."""
