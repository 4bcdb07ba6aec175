"""The paper's numbers beside ours, and its claims as checks."""
