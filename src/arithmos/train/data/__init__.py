"""Images and labels: data sets by name, and the user's own arrays."""
