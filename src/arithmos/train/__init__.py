"""Training in float: data sets, the loop, and the digits network of the demonstration."""
