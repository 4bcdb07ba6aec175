"""Sources of pictures: folders, official archives, sets prepared by TFDS."""
