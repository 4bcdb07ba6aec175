"""The built-in data set: pictures of procedural objects, rendered on first use."""
