"""Files on disk: archives, downloads, decoding of pictures, caches of arrays."""
