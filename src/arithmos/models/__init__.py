"""The zoo and the user's own networks: registry, references, weights. One architecture a file."""
