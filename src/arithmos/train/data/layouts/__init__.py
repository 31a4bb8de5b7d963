"""The layouts in which data sets lie on disks: one a file, each a function from a folder to a split."""
