"""The intermediate representation: one frozen graph, closed op sets, proven ranges, the interpreter."""
